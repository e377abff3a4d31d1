//! Videos that are sealed: their playlists, their keys, and other programs that open them.

use crate::programs::printed;
use crate::stack::{Options, Stack};
use crate::{client, clips};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::time::sleep;

/// A stack that seals, with a key for every two segments.
#[derive(Debug)]
pub struct Story {
    /// The stack.
    pub stack: Stack,
    signer: SigningKey,
    keys: TempDir,
}

impl Story {
    /// Starts one.
    pub async fn start() -> Self {
        Self::with(vec![]).await
    }

    /// With these flags of the transcoder.
    pub async fn with(transcoders: Vec<(&'static str, String)>) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let at = |name: &str| keys.path().join(name);
        let pem = SigningKey::generate().unwrap();
        let signer = SigningKey::from_pem(pem.as_bytes(), "1").unwrap();
        std::fs::write(at("private.pem"), &pem).unwrap();
        std::fs::write(at("keys.json"), signer.jwks().to_string()).unwrap();
        std::fs::write(at("secrets"), format!("# of this story\n{}\n", "5e".repeat(32))).unwrap();
        let origin = vec![
            ("playback.key_file", at("private.pem").display().to_string()),
            ("protection.secret_file", at("secrets").display().to_string()),
            ("protection.period_segments", "2".into()),
        ];
        let edges = vec![("access.keys_file", at("keys.json").display().to_string())];
        let stack = Stack::with(Options { origin, edges, transcoders, ..Options::default() }).await;
        Self { stack, signer, keys }
    }

    /// A video of ten seconds: two periods.
    pub async fn video(&self, name: &str) -> String {
        self.video_of(name, 10).await
    }

    /// A stranger's video, with the same rungs.
    pub async fn other(&self) -> String {
        self.video_of("other.mp4", 2).await
    }

    async fn video_of(&self, name: &str, seconds: u32) -> String {
        let made = client::put(&self.stack.edge(), name, clips::made(seconds, "640x360", 25)).await;
        let id = made["id"].as_str().unwrap().to_owned();
        client::wait_ready(&self.stack.edge(), &id).await;
        id
    }

    /// Seals a video so (`none` opens it), and waits until edges know.
    pub async fn protect(&self, id: &str, how: &str) {
        let url = format!("{}/v1/videos/{id}", self.stack.edge());
        let answer = client::client().patch(url).json(&json!({ "protection": how })).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
        assert_eq!(answer.json::<Value>().await.unwrap()["protection"], how);
        // What an edge has kept of before is purged by an event.
        let lowest = format!("{}/v/{id}/v240/index.m3u8", self.stack.edge());
        let sealed = |text: &str| text.contains("EXT-X-KEY");
        for _ in 0..600 {
            if sealed(&client::get(&lowest).await.text().await.unwrap()) == (how != "none") {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{id} never became {how}");
    }

    /// What a player gets for a video.
    pub async fn playback(&self, id: &str) -> Value {
        let url = format!("{}/v1/videos/{id}/playback", self.stack.edge());
        client::client().post(url).send().await.unwrap().json().await.unwrap()
    }

    /// A good token for a video.
    pub async fn token(&self, id: &str) -> String {
        self.playback(id).await["token"].as_str().unwrap().to_owned()
    }

    fn expired(&self, id: &str) -> String {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let paths = Some(vec![format!("/v/{id}")]);
        self.signer.token(&Claims { exp: Some((now_s - 600).into()), paths, ..Claims::default() })
    }

    /// A URL below a video, at the near edge.
    #[must_use]
    pub fn url(&self, id: &str, path: &str) -> String {
        format!("{}/v/{id}/{path}", self.stack.edge())
    }

    /// Names of rungs with a picture, and of sound.
    pub async fn rungs(&self, id: &str) -> Vec<String> {
        let video = client::video(&self.stack.edge(), id).await;
        let names = video["rungs"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    /// What a rung's playlist lists, all of it with keys.
    pub async fn listed(&self, id: &str, rung: &str) -> Vec<Listed> {
        let text = client::get(&self.url(id, &format!("{rung}/index.m3u8"))).await.text().await.unwrap();
        let (mut map, mut key, mut all) = (String::new(), String::new(), vec![]);
        let uri = |line: &str| line.split("URI=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        for line in text.lines() {
            match line {
                line if line.starts_with("#EXT-X-MAP:") => map = uri(line),
                line if line.starts_with("#EXT-X-KEY:") && !line.contains("KEYFORMAT") => key = uri(line),
                line if line.starts_with('#') => {}
                segment => {
                    all.push(Listed { map: map.clone(), key: key.clone(), segment: segment.to_owned() })
                }
            }
        }
        assert!(all.len() >= 3 && all.iter().all(|l| l.key.starts_with("../keys/")), "{text}");
        all
    }

    /// The 16 bytes of a key, which nobody may keep.
    pub async fn key(&self, id: &str, listed: &Listed, token: &str) -> Vec<u8> {
        let url = self.url(id, listed.key.trim_start_matches("../"));
        let answer = client::get(&format!("{url}?sluice-token={token}")).await;
        assert_eq!(client::header(&answer, "cache-control"), "private, no-store");
        assert_eq!(client::header(&answer, "content-type"), "application/octet-stream");
        let key = answer.bytes().await.unwrap().to_vec();
        assert_eq!(key.len(), 16);
        key
    }

    /// Everybody who is to be refused a key, and how. The key is there.
    pub async fn refused(&self, id: &str, other: &str, ask: impl AsyncFn(Option<String>) -> Response) {
        for (token, status, kind) in [
            (None, 401, "access-missing"),
            (Some(self.token(other).await), 403, "access-path"),
            (Some(self.expired(id)), 401, "access-expired"),
            (Some("a.b.c".into()), 401, "access-"),
        ] {
            let answer = ask(token).await;
            assert_eq!(answer.status().as_u16(), status, "{kind}");
            assert_eq!(client::header(&answer, "content-type"), "application/problem+json");
            let problem: Value = answer.json().await.unwrap();
            assert!(problem["type"].as_str().unwrap().contains(kind), "{problem}");
        }
        assert_eq!(ask(Some(self.token(id).await)).await.status(), StatusCode::OK);
    }

    /// A file of these parts.
    #[must_use]
    pub fn kept(&self, name: &str, parts: &[&[u8]]) -> PathBuf {
        let file = self.keys.path().join(name);
        std::fs::write(&file, parts.concat()).unwrap();
        file
    }

    /// What openssl makes of a segment that is sealed whole, with its key and its number.
    #[must_use]
    pub fn opened(&self, sealed: &[u8], key: &[u8], seq: usize) -> Vec<u8> {
        let (file, key, iv) = (self.kept("sealed", &[sealed]), hex::encode(key), format!("{seq:032x}"));
        let words = ["enc", "-d", "-aes-128-cbc", "-K", &key, "-iv", &iv, "-in", file.to_str().unwrap()];
        ran("openssl", &words)
    }
}

/// A playlist as far as these stories look: headers, keys and segments in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where its header is.
    pub map: String,
    /// Where its key is.
    pub key: String,
    /// What it is called.
    pub segment: String,
}

/// Standard output of a program.
#[must_use]
pub fn ran(program: &str, words: &[&str]) -> Vec<u8> {
    let output = Command::new("timeout").arg("60").arg(program).args(words).output().unwrap();
    printed(program, &output);
    output.stdout
}

/// Checksums of all that a file decodes to.
#[must_use]
pub fn decoded(file: &Path, key: Option<&[u8]>) -> String {
    let hex = hex::encode(key.unwrap_or_default());
    let mut words = vec!["-v", "error", "-xerror"];
    if key.is_some() {
        words.extend(["-decryption_key", &hex]);
    }
    words.extend(["-i", file.to_str().unwrap(), "-f", "framemd5", "-"]);
    String::from_utf8(ran("ffmpeg", &words)).unwrap()
}

/// Each `moof` with its `mdat`: ffmpeg 5.1 opens what is encrypted in the first fragment of a file alone.
#[must_use]
pub fn fragments(segment: &[u8]) -> Vec<&[u8]> {
    let (mut all, mut at, mut begun) = (vec![], 0, None);
    while at < segment.len() {
        let size = u32::from_be_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        match &segment[at + 4..at + 8] {
            b"moof" => begun = Some(at),
            b"mdat" => all.push(&segment[begun.take().unwrap()..at + size]),
            _ => {}
        }
        at += size;
    }
    all
}
