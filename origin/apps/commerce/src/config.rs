//! The shop's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The most that a tax can be, in basis points: as much again as the price without it.
const MAX_TAX: u32 = 10_000;

/// The app's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Milliseconds for which an order holds its stock unpaid.
    pub reserve_ms: u64,
    /// Milliseconds between two looks for reservations that ran out and orders that wait for the gateway.
    pub sweep_ms: u64,
    /// Where is sold, by name: currency and tax.
    pub markets: BTreeMap<String, Market>,
    /// Who takes the money.
    pub gateway: GatewayConfig,
}

/// A market: its prices are in one currency and hold one tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Market {
    /// ISO 4217, in capitals.
    pub currency: String,
    /// The tax that prices include, in basis points of the price without it: 1900 is 19 %.
    #[serde(default)]
    pub tax_bp: u32,
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
    /// Milliseconds that one question to the gateway may take.
    pub timeout_ms: u64,
}

impl Default for Config {
    /// Ten minutes to find the card; Germany and the United States.
    fn default() -> Self {
        let market = |currency: &str, tax_bp| Market { currency: currency.into(), tax_bp };
        Self {
            reserve_ms: 600_000,
            sweep_ms: 1_000,
            markets: BTreeMap::from([("de".into(), market("EUR", 1_900)), ("us".into(), market("USD", 0))]),
            gateway: GatewayConfig::default(),
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { url: None, key_file: None, webhook_secret_file: None, timeout_ms: 10_000 }
    }
}

impl Config {
    /// What is wrong with it, a line per key.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let gateway = &self.gateway;
        let capitals = |text: &str| text.len() == 3 && text.bytes().all(|c| c.is_ascii_uppercase());
        let name = |text: &str| {
            (1..=16).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_lowercase() || c == b'-')
        };
        let good_market = |(key, market): (&String, &Market)| {
            name(key) && capitals(&market.currency) && market.tax_bp <= MAX_TAX
        };
        let checks = [
            (self.reserve_ms >= 1_000, "reserve_ms: at least a second"),
            ((10..=60_000).contains(&self.sweep_ms), "sweep_ms: from 10 to 60000"),
            (
                !self.markets.is_empty() && self.markets.iter().all(good_market),
                "markets: at least one; a name of a-z and '-', a currency of three capitals, at most 10000 basis points",
            ),
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
        checks.iter().filter(|(good, _)| !good).map(|(_, fault)| format!("apps.commerce.{fault}")).collect()
    }

    /// For how long one process may be about an order before another looks after it: three questions to the gateway.
    pub(crate) fn turn_ms(&self) -> u64 {
        3 * self.gateway.timeout_ms + 1_000
    }
}
