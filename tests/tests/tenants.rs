//! Hosts on one path are kept apart; the names of one tenant, and those of the edge itself, are not.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use http::header::HOST;
use sluice_tests::client::{self, header};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::stack::lone_edge;

/// Answers with the host it was asked under, and whatever else might have chosen the answer.
async fn echo(request: Request) -> axum::response::Response {
    let field =
        |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
    let body = format!("{} {}", field("host"), field("x-forwarded-host"));
    answer(200, &[("cache-control", "max-age=600")], body)
}

#[tokio::test]
async fn two_hosts_on_one_path_are_never_mixed() {
    let origin = ScriptedOrigin::start(echo).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    std::fs::write(&file, "[[tenants]]\nname = \"shop\"\nhosts = [\"shop.example\", \"www.shop.example\"]\n")
        .unwrap();
    let mut edge = lone_edge(dir.path(), "lone", &origin.url(), &[("config", file.to_str().unwrap())]);
    edge.start().await;
    let url = format!("{}/same?a=1", edge.url());
    let ask = async |host: &str| {
        let request =
            client::client().get(&url).header(HOST, host).header("x-forwarded-host", "evil.example");
        let got = request.send().await.unwrap();
        let status = header(&got, "cache-status");
        (got.text().await.unwrap(), status.contains("; hit"))
    };
    assert_eq!(ask("a.example").await, ("a.example -".into(), false));
    assert_eq!(ask("b.example").await, ("b.example -".into(), false));
    assert_eq!(ask("a.example:81").await, ("a.example:81 -".into(), false));
    assert_eq!(ask("A.Example:80").await, ("a.example -".into(), true), "one spelling");
    assert_eq!(ask("b.example").await, ("b.example -".into(), true));

    // A tenant's names are one, and its parent is asked under the first, whoever asked.
    assert_eq!(ask("WWW.shop.example").await, ("shop.example -".into(), false));
    assert_eq!(ask("shop.example").await, ("shop.example -".into(), true));

    // So are the edge's own.
    let own = edge.at.http.clone().unwrap();
    let port = own.rsplit_once(':').unwrap().1;
    assert_eq!(ask(&own).await, (format!("{own} -"), false));
    assert_eq!(ask(&format!("localhost:{port}")).await, (format!("{own} -"), true));
    assert_eq!(origin.asked("/same?a=1"), 5);

    // The shortest way to a hit keeps them apart as well: no query, plain fields.
    let url = format!("{}/plain", edge.url());
    for (host, hit) in [("a.example", false), ("b.example", false), ("a.example", true), ("b.example", true)]
    {
        let got = client::client().get(&url).header(HOST, host).send().await.unwrap();
        assert_eq!(header(&got, "cache-status").contains("; hit"), hit, "{host}");
        assert_eq!(got.text().await.unwrap(), format!("{host} -"));
    }
}
