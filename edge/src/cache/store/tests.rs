//! What keeping costs.

use super::*;
use crate::cache::{FeedMark, Growing, Head, Lifetimes};
use crate::tenant::Tenant;
use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderMap;

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

#[test]
fn an_object_costs_no_more_than_the_budget_is_charged_for_it() {
    const OBJECTS: u64 = 100_000;
    let metrics = Metrics::new(&sluice_service::Metrics::default());
    let store = Store::new(1 << 40, metrics, None);
    let tenant = Tenant::own();
    let before = resident();
    for i in 0..OBJECTS {
        let body = Arc::new(Growing::whole(Bytes::from_static(b"body")));
        let (headers, varies) = (HeaderMap::new(), (vec![], String::new()));
        let head = Head { status: StatusCode::OK, headers, lifetimes: Lifetimes::NONE, varies };
        let object = Arc::new(Object::new(head, body, FeedMark::default()));
        store.put(&Key::new(&tenant, &format!("/{i:08}")), object);
    }
    let each = (resident() - before) / OBJECTS;
    assert!(each > 100 && each <= OVERHEAD, "{each} bytes each");
}
