//! Buyers in closed loops, each on a connection of its own: an order, and then the next or its payment.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::shop::Shop;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a buyer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Orders: the stock is held.
    Place,
    /// Orders and pays: the stock is sold, and the books are written.
    Buy,
}

/// What came of a window of load.
#[derive(Debug)]
pub(super) struct Done {
    /// Orders done in the window.
    pub(super) orders: u64,
    pub(super) wall: Duration,
    /// The origin's processor time in it.
    pub(super) cpu: Duration,
    /// Microseconds of an order, with its payment.
    pub(super) times: Histogram<u64>,
    /// Orders done with what came before the window and after it.
    pub(super) all: u64,
}

/// Loads a shop: warm, then for a window.
pub(super) async fn load(
    shop: &Shop,
    kind: Kind,
    clients: usize,
    (warm, window): (Duration, Duration),
) -> anyhow::Result<Done> {
    let begin = Instant::now() + warm;
    let end = begin + window;
    let mut buyers = JoinSet::new();
    for number in 0..clients {
        let token = shop.buyers[number % shop.buyers.len()].clone();
        let buyer = Buyer::connect(shop, token, number).await?;
        buyers.spawn(buyer.run(kind, begin, end));
    }
    tokio::time::sleep_until(begin.into()).await;
    let before = shop.time()?;
    tokio::time::sleep_until(end.into()).await;
    let cpu = shop.time()?.saturating_sub(before);
    let mut done = Done { orders: 0, wall: window, cpu, times: Histogram::new(3)?, all: 0 };
    while let Some(buyer) = buyers.join_next().await {
        let (times, all) = buyer??;
        done.times.add(&times)?;
        done.all += all;
    }
    done.orders = done.times.len();
    Ok(done)
}

struct Buyer {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
    variants: Vec<String>,
    number: usize,
    made: usize,
}

impl Buyer {
    async fn connect(shop: &Shop, token: String, number: usize) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(shop.at()?).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async { drop(connection.await) });
        let (host, authorization) = (shop.at()?.to_owned(), format!("Bearer {token}"));
        Ok(Self { sender, host, authorization, variants: shop.variants.clone(), number, made: 0 })
    }

    async fn run(
        mut self,
        kind: Kind,
        begin: Instant,
        end: Instant,
    ) -> anyhow::Result<(Histogram<u64>, u64)> {
        let (mut times, mut all) = (Histogram::new(3)?, 0);
        loop {
            let asked = Instant::now();
            if asked >= end {
                return Ok((times, all));
            }
            let order = self.order().await?;
            if kind == Kind::Buy {
                self.pay(&order).await?;
            }
            all += 1;
            if asked >= begin && Instant::now() < end {
                times.record(u64::try_from(asked.elapsed().as_micros())?)?;
            }
        }
    }

    async fn order(&mut self) -> anyhow::Result<String> {
        self.made += 1;
        let variant = &self.variants[(self.made * 7 + self.number) % self.variants.len()];
        let body = format!(r#"{{"market":"de","lines":[{{"variant":"{variant}","quantity":1}}]}}"#);
        let key = format!("{}-{}-{}", self.host, self.number, self.made);
        let (status, told) = self.post("/v1/shop/orders", &key, body).await?;
        ensure!(status == StatusCode::CREATED, "{status} for an order: {told}");
        Ok(told["id"].as_str().context("no id")?.to_owned())
    }

    async fn pay(&mut self, order: &str) -> anyhow::Result<()> {
        let (path, body) = (format!("/v1/shop/orders/{order}/payment"), r#"{"method":"pm_card_visa"}"#);
        let (status, told) = self.post(&path, order, body.to_owned()).await?;
        ensure!(status == StatusCode::OK && told["state"] == "confirmed", "{status} for a payment: {told}");
        Ok(())
    }

    async fn post(&mut self, path: &str, key: &str, body: String) -> anyhow::Result<(StatusCode, Value)> {
        let request = Request::post(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Full::new(Bytes::from(body)))?;
        let answered = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, serde_json::from_slice(&body)?))
        };
        tokio::time::timeout(PATIENCE, answered).await.context("an answer took too long")?
    }
}
