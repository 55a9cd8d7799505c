//! Digests of images: asked of a registry, written to a lock, and put into manifests. The registry is a small one on this
//! machine that speaks the distribution interface, with a token as public registries want one.

use crate::surroundings::Place;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const PLAN: &str = "plan p { currency = USD }\nsite cloud { provider = aws, region = \"us-east-1\" }\n\
    serve chat {\n  model = \"meta-llama/Llama-3.1-8B-Instruct\"\n  \
    load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }\n  slo ttft { p99 <= 1 s }\n}\n\
    deploy kubernetes { namespace = \"chat\", load_test = k6 }\n";

/// How the registry misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// Tells a digest that its bytes do not have.
    Lies,
    /// Knows no tag.
    Empty,
    /// Wants its token fetched from elsewhere, without TLS.
    Phishes,
}

/// A registry, and the paths that it was asked for with a token.
struct Registry {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
    mood: Arc<Mutex<Mood>>,
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The manifest of a path: other bytes for each.
fn manifest(path: &str) -> String {
    format!("{{\"schemaVersion\":2,\"of\":\"{path}\"}}")
}

fn answer(stream: &mut TcpStream, host: &str, mood: Mood, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let has_token =
        headers.iter().any(|line| line.eq_ignore_ascii_case("authorization: Bearer secret-of-nobody"));
    let (status, more, body) = if path.starts_with("/token") {
        ("200 OK", String::new(), "{\"token\":\"secret-of-nobody\"}".to_owned())
    } else if !has_token {
        let realm = if mood == Mood::Phishes {
            "http://phish.example/token".to_owned()
        } else {
            format!("http://{host}/token")
        };
        let asks = format!(
            "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"r\",scope=\"repository:x:pull\"\r\n"
        );
        ("401 Unauthorized", asks, String::new())
    } else if mood == Mood::Empty {
        ("404 Not Found", String::new(), "{}".to_owned())
    } else {
        asked.lock().expect("nobody panics").push(path.clone());
        let body = manifest(&path);
        let told = if mood == Mood::Lies { digest(b"other") } else { digest(body.as_bytes()) };
        ("200 OK", format!("Docker-Content-Digest: {told}\r\n"), body)
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

impl Registry {
    fn start() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (asked, mood) = (Arc::default(), Arc::new(Mutex::new(Mood::Well)));
        let registry = Registry { host: host.clone(), asked: Arc::clone(&asked), mood: Arc::clone(&mood) };
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let now = *mood.lock().expect("nobody panics");
                let _ = answer(&mut stream, &host, now, &asked);
            }
        });
        registry
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().expect("nobody panics") = mood;
    }
}

#[test]
fn images_are_pinned_by_what_the_registry_has_and_manifests_name_digests() {
    let (place, registry) = (Place::new(), Registry::start());
    place.planned(PLAN, 0);
    let emit = ["emit", "b.json", "--target", "kubernetes", "-o", "out"];
    let plain = place.run(&emit).exits(0);
    assert!(
        plain.err.contains("no digest is known of docker.io/grafana/k6:1.4.0, vllm/vllm-openai:"),
        "{}",
        plain.told()
    );
    let import = ["import", "images", "b.json", "--mirror", &registry.host];
    let told = place.run(&import).exits(0);
    assert!(told.err.contains("images.lock is written: 2 images pinned"), "{}", told.told());
    let asked = registry.asked.lock().expect("nobody panics").clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("/v2/grafana/k6/manifests/1.4.0?ns=docker.io"), "{asked:?}");
    let pinned = place.run(&emit).exits(0);
    assert!(!pinned.err.contains("no digest"), "{}", pinned.told());
    let pods = place.read("out/kubernetes/10-chat/deployment.yaml");
    let wanted = digest(manifest(&asked[1]).as_bytes());
    let line = pods.lines().find(|line| line.contains("image: vllm/vllm-openai:")).expect("an image");
    assert!(line.ends_with(&format!("@{wanted}")), "{line} {wanted}");
    // Asking again changes nothing, also not the day; a moved tag is told.
    let before = place.read("images.lock");
    let again = place.run(&import).exits(0);
    assert!(
        again.err.contains("is as it should be") && place.read("images.lock") == before,
        "{}",
        again.told()
    );
    let other = before.replace(&wanted, &digest(b"before"));
    place.write("images.lock", &other);
    let moved = place.run(&import).exits(0);
    assert!(
        moved.err.contains("and is sha256:") && place.read("images.lock").contains(&wanted),
        "{}",
        moved.told()
    );
}

#[test]
fn what_cannot_be_pinned_is_told_and_nothing_is_written() {
    let (place, registry) = (Place::new(), Registry::start());
    place.planned(PLAN, 0);
    let refused = |mirror: &str, word: &str| {
        let told = place.run(&["import", "images", "b.json", "--mirror", mirror]).exits(1);
        assert!(told.err.contains(word) && !told.told().contains("secret-of-nobody"), "{}", told.told());
        let emitted = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
        assert!(emitted.err.contains("no digest is known of"), "nothing is written: {}", emitted.told());
    };
    for (mood, word) in [
        (Mood::Lies, "for bytes with the digest"),
        (Mood::Empty, "answers 404"),
        (Mood::Phishes, "asks for a token that cannot be had"),
    ] {
        registry.is(mood);
        refused(&registry.host, word);
    }
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    refused(&closed.to_string(), "does not answer");
    place.run(&["import", "images", "b.json", "--mirror", "http://x/y"]).exits(64);
    place.run(&["import", "images"]).exits(64);
}

#[test]
fn a_lock_that_is_none_is_refused() {
    let place = Place::new();
    place.planned(PLAN, 0);
    let row = |name: &str, digest: &str| {
        format!("{{\"name\":\"{name}\",\"digest\":\"{digest}\",\"registry\":\"r\",\"as_of\":\"2026-01-01\"}}")
    };
    let of =
        |format: u32, rows: &[String]| format!("{{\"format\":{format},\"images\":[{}]}}", rows.join(","));
    let good = digest(b"x");
    for (text, word) in [
        (String::new(), "EOF"),
        (of(2, &[]), "has format 2"),
        (of(1, &[row("a:1", "sha256:12")]), "64 hexadecimal digits"),
        (of(1, &[row("a:1", &good), row("a:1", &good)]), "there twice"),
        ("{\"format\":1,\"images\":[],\"more\":1}".to_owned(), "unknown field"),
    ] {
        place.write("images.lock", &text);
        let told = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(1);
        assert!(told.err.contains(word) && told.err.contains("images.lock"), "{word}: {}", told.told());
    }
    let told = place
        .run(&["emit", "b.json", "--target", "kubernetes", "-o", "out", "--images", "none.lock"])
        .exits(1);
    assert!(told.err.contains("there is no `none.lock`"), "{}", told.told());
}
