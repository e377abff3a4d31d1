//! Why an upload is not taken.

use sluice_platform::ApiError;
use sluice_storage::StorageError;

/// A refused upload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The body ended before its end.
    #[error("the upload ended early: {0}")]
    Cut(String),
    /// Nothing came.
    #[error("the upload is empty")]
    Empty,
    /// More than is accepted.
    #[error("an upload has at most {0} bytes")]
    TooLarge(u64),
    /// More than the upload's own length.
    #[error("the body goes past the upload's length of {0} bytes")]
    PastLength(u64),
    /// A form without a file.
    #[error("the form has no field named file")]
    NoFile,
    /// A name or title that cannot be kept.
    #[error("{0}")]
    Name(String),
    /// The bytes are not those that were summed.
    #[error("the checksum does not match; nothing of this request was kept")]
    Checksum,
    /// More than the owner may have.
    #[error("with this there are more than the {0} bytes that may be kept; nothing of it was")]
    Quota(u64),
    /// More at a time than the owner may have.
    #[error("at most {0} uploads may be under way at a time; try again when one is complete")]
    TooMany(u64),
    /// A URL that is not fetched.
    #[error("{0}")]
    Url(String),
    /// A source that is not what it was while it was fetched.
    #[error("it changed while it was fetched")]
    Changed,
    /// The store's.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let detail = error.to_string();
        match error {
            UploadError::Cut(_) => Self::new(400, "upload-cut", "Upload cut", detail),
            UploadError::Empty => Self::new(400, "upload-empty", "Empty upload", detail),
            UploadError::TooLarge(_) => Self::new(413, "upload-too-large", "Upload too large", detail),
            UploadError::PastLength(_) => {
                Self::new(413, "upload-past-length", "Past the upload's length", detail)
            }
            UploadError::NoFile => Self::new(400, "no-file", "No file", detail),
            UploadError::Name(_) => Self::new(400, "bad-name", "Bad name", detail),
            // tus 1.0, checksum extension: 460.
            UploadError::Checksum => Self::new(460, "checksum-mismatch", "Checksum mismatch", detail),
            // RFC 4331 section 6: what would exceed a quota is 507.
            UploadError::Quota(_) => Self::new(507, "quota-exceeded", "Quota exceeded", detail),
            UploadError::TooMany(_) => Self::new(429, "too-many-uploads", "Too many uploads", detail),
            UploadError::Url(_) => Self::new(400, "url-refused", "URL refused", detail),
            UploadError::Changed => Self::new(409, "source-changed", "Source changed", detail),
            UploadError::Storage(error) => error.into(),
        }
    }
}
