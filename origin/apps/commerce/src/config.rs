//! The shop's keys.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The most that a tax can be, in basis points: as much again as the price without it.
const MAX_TAX: u32 = 10_000;

/// The longest that a gateway may say nothing of a payment: it forgets keys after a day, and would open it anew.
const MAX_GIVE_UP_MS: u64 = 24 * 3_600_000;

/// The app's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Milliseconds for which an order holds its stock unpaid: at least 1,000.
    pub reserve_ms: u64,
    /// Orders that are placed in one transaction at most, of those that came while the one before was committed; and payments.
    /// 1 to 64.
    pub together: usize,
    /// Milliseconds between two looks for reservations that ran out and orders that wait for the gateway: 10 to 60,000.
    pub sweep_ms: u64,
    /// Milliseconds after which a payment that the gateway says nothing of is given up: the gateway is told to end it, and the
    /// order is canceled. From three times [`GatewayConfig::timeout_ms`] and a second to a day.
    pub give_up_ms: u64,
    /// Where is sold: `NAME:CURRENCY:TAX` each, such as `de:EUR:1900`.
    pub markets: Vec<Market>,
    /// Who takes the money.
    pub gateway: GatewayConfig,
    /// The search of the catalog.
    pub search: SearchConfig,
}

/// The search of the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Folder of the index, one process's alone: what is in it is made anew where it is not sound. Absent, the index is in memory
    /// and made anew at each start.
    pub dir: Option<PathBuf>,
}

/// A market: its prices are in one currency and hold one tax. As text: `de:EUR:1900`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Market {
    /// 1 to 16 of a-z and `-`.
    pub name: String,
    /// ISO 4217, in capitals.
    pub currency: String,
    /// The tax that prices include, in basis points of the price without it: 1900 is 19 %. At most 10,000.
    pub tax_bp: u32,
}

/// Why a text is not a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a market is NAME:CURRENCY:TAX: a-z and '-', three capitals, at most {MAX_TAX} basis points")]
pub struct MarketError;

impl TryFrom<String> for Market {
    type Error = MarketError;

    fn try_from(text: String) -> Result<Self, MarketError> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        let mut next = || parts.next().ok_or(MarketError);
        let (name, currency, tax) = (next()?, next()?, next()?);
        let named =
            (1..=16).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'-');
        let money = currency.len() == 3 && currency.bytes().all(|c| c.is_ascii_uppercase());
        let tax_bp = tax.parse().map_err(|_| MarketError)?;
        if named && money && tax_bp <= MAX_TAX {
            Ok(Self { name, currency, tax_bp })
        } else {
            Err(MarketError)
        }
    }
}

impl From<Market> for String {
    fn from(market: Market) -> Self {
        market.to_string()
    }
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.currency, self.tax_bp)
    }
}

/// Who takes the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Base URL of a gateway that speaks Stripe's interface, such as `https://api.stripe.com`. Absent, a simulator in this
    /// process says yes to everything and forgets it when the process ends: for trying out alone.
    pub url: Option<String>,
    /// File with the gateway's secret key. Needed beside `url`.
    pub key_file: Option<PathBuf>,
    /// File with the secret that the gateway signs its webhooks with. Absent, no webhook is taken.
    pub webhook_secret_file: Option<PathBuf>,
    /// Milliseconds that one question to the gateway may take: 100 to 60,000.
    pub timeout_ms: u64,
}

impl Default for Config {
    /// Ten minutes to find the card, an hour for a gateway that is out of order; Germany and the United States.
    fn default() -> Self {
        let market = |name: &str, currency: &str, tax_bp| Market {
            name: name.into(),
            currency: currency.into(),
            tax_bp,
        };
        Self {
            reserve_ms: 600_000,
            together: 64,
            sweep_ms: 1_000,
            give_up_ms: 3_600_000,
            markets: vec![market("de", "EUR", 1_900), market("us", "USD", 0)],
            gateway: GatewayConfig::default(),
            search: SearchConfig::default(),
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { url: None, key_file: None, webhook_secret_file: None, timeout_ms: 10_000 }
    }
}

impl Config {
    /// What is wrong with it, a line per key, without opening anything.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let gateway = &self.gateway;
        let checks = [
            (self.reserve_ms >= 1_000, "reserve_ms: at least a second"),
            ((1..=64).contains(&self.together), "together: from 1 to 64"),
            ((10..=60_000).contains(&self.sweep_ms), "sweep_ms: from 10 to 60000"),
            (
                (self.turn_ms()..=MAX_GIVE_UP_MS).contains(&self.give_up_ms),
                "give_up_ms: from three times gateway.timeout_ms and a second to a day (86400000)",
            ),
            (!self.markets.is_empty(), "markets: at least one"),
            (
                gateway.url.as_ref().is_none_or(|url| url.starts_with("http")),
                "gateway.url: an http:// or https:// address",
            ),
            (
                gateway.url.is_none() || gateway.key_file.is_some(),
                "gateway.key_file: is needed beside gateway.url",
            ),
            ((100..=60_000).contains(&gateway.timeout_ms), "gateway.timeout_ms: from 100 to 60000"),
        ];
        checks.iter().filter(|(good, _)| !good).map(|(_, fault)| (*fault).to_owned()).collect()
    }

    /// For how long one process may be about an order before another looks after it: three questions to the gateway.
    pub(crate) fn turn_ms(&self) -> u64 {
        self.gateway.timeout_ms.saturating_mul(3).saturating_add(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_given_up_after_it_was_asked_for_and_before_its_keys_are_forgotten() {
        let config = |give_up_ms| Config { give_up_ms, ..Config::default() };
        for (give_up_ms, good) in [(30_999, false), (31_000, true), (86_400_000, true), (86_400_001, false)] {
            assert_eq!(config(give_up_ms).faults().is_empty(), good, "{give_up_ms}");
        }
    }

    #[test]
    fn markets_are_read_as_they_are_written() {
        assert!(Config::default().faults().is_empty());
        for market in Config::default().markets {
            assert_eq!(Market::try_from(market.to_string()), Ok(market));
        }
        for bad in ["", "de", "de:EUR", "de:eur:0", "DE:EUR:0", "de:EUR:10001", "de:EUR:x", ":EUR:0"] {
            assert_eq!(Market::try_from(bad.to_owned()), Err(MarketError), "{bad}");
        }
    }
}
