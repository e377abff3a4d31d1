use super::*;
use crate::cache::Key;
use crate::gate;
use proptest::prelude::*;
use sluice_wire::routes::Seat;
use sluice_wire::{NodeId, NodeState, RouteNode, Tier};

fn tenants() -> Tenants {
    let shop =
        TenantConfig { name: "shop".into(), hosts: vec!["Shop.example".into(), "www.shop.example".into()] };
    let at = "0.0.0.0:8080".parse().unwrap();
    Tenants::new(&[shop], &["http://near-a:8081", "https://cdn.example"], &[at])
}

#[test]
fn names_of_the_fleet_are_one_tenant_and_any_other_host_is_its_own() {
    let tenants = tenants();
    for own in ["near-a:8081", "NEAR-A:8081", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
        assert_eq!(tenants.of(own, false), Tenant::own(), "{own}");
    }
    assert_eq!(tenants.of("cdn.example:443", true), Tenant::own());
    for other in ["near-b:8082", "localhost:81", "127.0.0.1", "near-a", "a.example"] {
        assert_ne!(tenants.of(other, false), Tenant::own(), "{other}");
    }
    let node = RouteNode {
        node: NodeId::new("b").unwrap(),
        tier: Tier::Near,
        site: "local".into(),
        state: NodeState::Ready,
        weight: 1.0,
        peer_url: "http://10.0.0.2:9".into(),
        public_url: "http://near-b:8082".into(),
        seat: Seat::default(),
    };
    tenants.with("near-b:8082", false, |before| assert_ne!(*before, Tenant::own()));
    tenants.adopt(&RouteTable { version: 1, nodes: vec![node], ..RouteTable::default() });
    tenants.with("near-b:8082", false, |after| {
        assert_eq!(*after, Tenant::own(), "what is remembered is renewed")
    });
    assert_eq!(tenants.of("shop.example:80", false), tenants.of("www.SHOP.example", true));
    assert_eq!(tenants.host_of(&tenants.of("www.shop.example", true), "").as_deref(), Some("Shop.example"));
    assert_eq!(tenants.host_of(&Tenant::own(), "http://cdn.example:80/").as_deref(), Some("cdn.example"));
    assert_eq!(tenants.of("a.example:80", false), tenants.of("A.example", false));
}

#[test]
fn a_tenant_travels_between_tiers_as_text() {
    for host in ["near-a:8081", "shop.example", "a.example:81", "[::2]:1"] {
        let tenant = tenants().of(host, false);
        assert_eq!(Tenant::told(tenant.as_str()), Some(tenant));
    }
    for no_tenant in ["", "a", "/", "@a/", "http://a/", "ftp://a"] {
        assert_eq!(Tenant::told(no_tenant), None, "{no_tenant}");
    }
}

/// Scheme, host, port and path of a request.
type Asked = (bool, &'static str, u16, String);

fn asked() -> impl Strategy<Value = Asked> {
    let host = prop::sample::select(vec![
        "a.example",
        "A.example",
        "b.example",
        "shop.example",
        "a.examplf",
        "near-a",
    ]);
    let port = prop::sample::select(vec![80, 443, 81, 8080, 8081]);
    let path = prop::sample::select(vec![
        "/", "/a", "/A", "/%61", "/%41", "/a%20", "/a?b", "/a?B", "/a/", "/a%3Fb", "//a",
    ]);
    (any::<bool>(), host, port, path.prop_map(str::to_owned))
}

fn key_of(tenants: &Tenants, (secure, host, port, path): &Asked) -> Key {
    let host = format!("{host}:{port}");
    assert!(gate::is_host(&host));
    Key::new(&tenants.of(&host, *secure), path)
}

/// What RFC 9110 section 4.2.3 says two URIs have in common, worked out in another way than the code does.
fn same(tenants: &[(&str, u8)], (s, h, p, path): &Asked, (t, i, q, other): &Asked) -> bool {
    let whose = |secure: bool, host: &str, port: u16| {
        let host = host.to_ascii_lowercase();
        let configured =
            tenants.iter().find(|(name, _)| *name == host && port == if secure { 443 } else { 80 });
        match configured {
            Some((_, number)) => (u16::from(*number), false, String::new()),
            None if host == "near-a" && port == 8081 => (999, false, String::new()),
            None => (port, secure, host),
        }
    };
    path == other && whose(*s, h, *p) == whose(*t, i, *q)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]
    #[test]
    fn what_differs_shares_no_key(one in asked(), other in asked()) {
        let tenants = tenants();
        let (a, b) = (key_of(&tenants, &one), key_of(&tenants, &other));
        let configured = [("shop.example", 1), ("www.shop.example", 1)];
        prop_assert_eq!(a == b, same(&configured, &one, &other), "{:?} {:?}", one, other);
        prop_assert_eq!(a.clone(), Key::of_text(a.text()));
    }
}
