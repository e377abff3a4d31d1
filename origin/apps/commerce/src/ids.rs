//! The kinds of ids that are the shop's own.

use sluice_storage::StorageError;
use sluice_wire::id::Id;

use sluice_storage::rows::unsigned;

sluice_wire::id!(
    /// A product.
    ProductId
);
sluice_wire::id!(
    /// A variant of a product: what is sold.
    VariantId
);
sluice_wire::id!(
    /// An order.
    OrderId
);
sluice_wire::id!(
    /// An order's payment: what the gateway knows it by.
    PaymentId
);
sluice_wire::id!(
    /// An entry of a ledger: of stock, or of money.
    EntryId
);
sluice_wire::id!(
    /// A parcel of an order.
    ParcelId
);

/// The id of a column.
///
/// # Errors
/// [`StorageError::Corrupt`] when the column is negative.
pub(crate) fn of_column<T: Id>(column: &'static str, value: i64) -> Result<T, StorageError> {
    T::numbered(unsigned(column, value)?).map_err(|error| StorageError::Corrupt(format!("{column}: {error}")))
}
