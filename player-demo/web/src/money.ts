// Amounts: counted in minor units, written as people do. Pure.

const written = (currency: string) => new Intl.NumberFormat('en', { style: 'currency', currency });

/** Digits behind the point: of the yen there are none, of the Kuwaiti dinar three. */
export const digits = (currency: string): number => written(currency).resolvedOptions().maximumFractionDigits ?? 2;

/** An amount in minor units, as people write it. */
export const money = (minor: number, currency: string): string => written(currency).format(minor / 10 ** digits(currency));

/** An amount as people write it, in minor units. */
export const minor = (amount: number, currency: string): number => Math.round(amount * 10 ** digits(currency));
