//! Stale copies while an origin is away: served inside their window and never over it, at once, and never replaced by an
//! error; news is there soon after the origin is back.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::proxy::{Line, Proxy};
use sluice_tests::stack::lone_edge;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const REQUESTS: usize = 150;
/// Stale copies are served without a wait for parents; a busy machine takes its own time.
const AT_ONCE: Duration = Duration::from_millis(500);

struct Scene {
    _dir: tempfile::TempDir,
    origin: ScriptedOrigin,
    proxy: Proxy,
    edge: Process,
    version: Arc<AtomicU32>,
    erring: Arc<AtomicBool>,
    late: Arc<AtomicBool>,
}

/// An origin whose answers are stale at once, behind a line that can be cut.
async fn scene(control: &'static str) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (version, erring, late) =
        (Arc::new(AtomicU32::new(1)), Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let state = (Arc::clone(&version), Arc::clone(&erring), Arc::clone(&late));
    let origin = ScriptedOrigin::start(move |_| {
        let (version, erring, late) = state.clone();
        async move {
            if late.load(Ordering::Relaxed) {
                sleep(Duration::from_secs(10)).await;
            }
            if erring.load(Ordering::Relaxed) {
                return answer(503, &[("cache-control", "max-age=600")], "out of order");
            }
            let version = version.load(Ordering::Relaxed);
            answer(
                200,
                &[("cache-control", control), ("etag", &format!("\"{version}\""))],
                format!("v{version}"),
            )
        }
    })
    .await;
    let proxy = Proxy::start(origin.at);
    let mut edge = lone_edge(dir.path(), "edge", &proxy.url(), &[]);
    edge.start().await;
    Scene { _dir: dir, origin, proxy, edge, version, erring, late }
}

impl Scene {
    async fn get(&self) -> (u16, String, Duration) {
        let begun = Instant::now();
        let answer = client().get(format!("{}/page", self.edge.url())).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap(), begun.elapsed())
    }

    /// Asks often while something is wrong: the old body each time, and all but a few of the first at once.
    async fn old_is_served(&self, what: &str) {
        let old = format!("v{}", self.version.load(Ordering::Relaxed));
        let mut slow = 0;
        for _ in 0..REQUESTS {
            let (status, body, took) = self.get().await;
            assert_eq!((status, body.as_str()), (200, old.as_str()), "{what}");
            slow += usize::from(took > AT_ONCE);
        }
        assert!(slow <= 3, "{what}: {slow} of {REQUESTS} waited");
    }

    /// The origin is back, with something new.
    async fn news_comes(&self, what: &str, within: Duration) {
        let new = format!("v{}", self.version.fetch_add(1, Ordering::Relaxed) + 1);
        let begun = Instant::now();
        while self.get().await.1 != new {
            assert!(begun.elapsed() < within, "{what}: not fresh after {within:?}");
        }
    }
}

#[tokio::test]
async fn the_old_is_served_while_the_origin_is_away_and_the_new_soon_after() {
    let scene = scene("max-age=0, stale-if-error=600").await;
    assert_eq!(scene.get().await.1, "v1");
    let soon = Duration::from_secs(4);

    scene.erring.store(true, Ordering::Relaxed);
    scene.old_is_served("503").await;
    scene.erring.store(false, Ordering::Relaxed);
    scene.news_comes("503", soon).await;

    scene.proxy.set(Line::Reset);
    scene.old_is_served("reset").await;
    scene.proxy.set(Line::Up);
    scene.news_comes("reset", soon).await;

    scene.proxy.set(Line::Silent);
    scene.old_is_served("silent").await;
    scene.proxy.set(Line::Up);
    scene.news_comes("silent", soon).await;

    for _ in 0..5 {
        scene.proxy.set(Line::Reset);
        assert_eq!(scene.get().await.0, 200, "flapping");
        scene.proxy.set(Line::Up);
        assert_eq!(scene.get().await.0, 200, "flapping");
    }
    scene.news_comes("flapping", soon).await;

    scene.late.store(true, Ordering::Relaxed);
    scene.old_is_served("10 s late").await;
    let before = scene.origin.asked("/page");
    scene.late.store(false, Ordering::Relaxed);
    scene.news_comes("10 s late", soon).await;
    assert!(scene.origin.asked("/page") > before);
}

#[tokio::test]
async fn nothing_is_served_over_its_window() {
    let scene = scene("max-age=0, stale-if-error=2").await;
    let begun = Instant::now();
    assert_eq!(scene.get().await.1, "v1");
    scene.erring.store(true, Ordering::Relaxed);
    loop {
        let asked = begun.elapsed();
        let (status, body, _) = scene.get().await;
        if status == 503 {
            assert!(begun.elapsed() > Duration::from_millis(900), "inside its window: {:?}", begun.elapsed());
            break;
        }
        assert_eq!((status, body.as_str()), (200, "v1"));
        assert!(asked < Duration::from_secs(3), "over its window: {asked:?}");
    }
    scene.erring.store(false, Ordering::Relaxed);
    scene.news_comes("over the window", Duration::from_secs(4)).await;
}
