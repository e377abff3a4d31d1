//! A gateway of others with Stripe's interface (localstripe), which does not even heed idempotency keys: an order is paid there
//! once, and what its card refuses is not.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::client::client;
use sluice_tests::process::free_port;
use sluice_tests::python::{LOCALSTRIPE, python};
use sluice_tests::shop::{self, Shop};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long it may take to start.
const START: Duration = Duration::from_secs(30);

/// The gateway; it ends when dropped.
struct Gateway {
    child: Child,
    url: String,
}

impl Gateway {
    async fn start() -> Self {
        let port = free_port().to_string();
        let program = python(LOCALSTRIPE).with_file_name("localstripe");
        let child = Command::new(program)
            .args(["--port", &port, "--from-scratch"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let gateway = Self { child, url: format!("http://127.0.0.1:{port}") };
        let begun = Instant::now();
        while gateway.charges().await.is_none() {
            assert!(begun.elapsed() < START, "the gateway does not start");
            sleep(Duration::from_millis(50)).await;
        }
        gateway
    }

    /// Charges that went through, by amount.
    async fn charges(&self) -> Option<Vec<i64>> {
        let asked = client().get(format!("{}/v1/charges", self.url)).basic_auth("sk_test_1", None::<&str>);
        let told: Value = asked.send().await.ok()?.json().await.ok()?;
        let all = told["data"].as_array()?;
        Some(
            all.iter()
                .filter(|one| one["status"] == "succeeded")
                .filter_map(|one| one["amount"].as_i64())
                .collect(),
        )
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn an_order_is_paid_once_at_a_gateway_of_others() {
    let gateway = Gateway::start().await;
    let shop = Shop::sqlite();
    let mut origin = shop.origin("origin", &gateway.url);
    origin.start().await;
    let url = origin.url();
    let boss = shop::sign_up(&url, "boss").await;
    let (_, variant) = shop::product(&url, &boss, 5).await;
    let order = async |quantity: i64, method: &str| {
        let body = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": quantity }] });
        let (status, made) = shop::post(&format!("{url}/v1/shop/orders"), &boss, &body).await;
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().unwrap().to_owned();
        let pay = format!("{url}/v1/shop/orders/{id}/payment");
        // Twice at once, as by an impatient buyer.
        let body = json!({ "method": method });
        tokio::join!(shop::post(&pay, &boss, &body), shop::post(&pay, &boss, &body));
        shop::rested(&url, &boss, &id).await["state"].clone()
    };
    assert_eq!(order(2, "pm_card_visa").await, "confirmed");
    assert_eq!(order(1, "pm_card_chargeCustomerFail").await, "released");
    assert_eq!(gateway.charges().await.unwrap(), [2_380]);
    assert_eq!(shop::counts(&url, &boss, &variant).await, [3, 0, 2]);
}
