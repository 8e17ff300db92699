//! The control page, as a browser sees it.

use crate::common::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// An answer: status, headers in lower case, body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn request(port: u16, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let host = match headers.contains("Host:") {
        true => String::new(),
        false => format!("Host: localhost:{port}\r\n"),
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        body: answer[end + 4..].to_vec(),
    }
}

fn get(port: u16, path: &str) -> Answer {
    request(port, "GET", path, "", "")
}

fn post(port: u16, body: &str) -> Answer {
    request(
        port,
        "POST",
        "/change",
        "Content-Type: application/json\r\n",
        body,
    )
}

/// The program with its page, and the page's port and token.
fn with_page(address: &str) -> (Live, u16, Option<String>) {
    let mut program = Live::start(live().arg(format!("--page={address}:0")));
    let line = wait_for(&program.lines(), "The page: ");
    let url = line.strip_prefix("The page: http://").unwrap();
    let (host, rest) = url.split_once('/').unwrap();
    let port = host.rsplit_once(':').unwrap().1.parse().unwrap();
    (program, port, rest.strip_prefix("?token=").map(Into::into))
}

fn state(port: u16) -> serde_json::Value {
    serde_json::from_slice(&get(port, "/state").body).unwrap()
}

#[test]
fn the_page_shows_and_changes_the_picture() {
    let (program, port, token) = with_page("127.0.0.1");
    assert_eq!(token, None);
    let page = get(port, "/");
    assert_eq!(page.status, 200);
    assert!(String::from_utf8_lossy(&page.body).contains("<title>faststyle</title>"));

    let first = get(port, "/picture?after=0");
    assert_eq!(first.status, 200);
    let picture = image::load_from_memory(&first.body).unwrap();
    assert_eq!((picture.width(), picture.height()), (640, 480));
    let number = first
        .head
        .split("x-number: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let second = get(port, &format!("/picture?after={number}"));
    assert_eq!(second.status, 200);
    assert!(!second.head.contains(&format!("x-number: {number}\r\n")));

    let before = state(port);
    let styles: Vec<_> = before["styles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    assert!(styles.starts_with(&["one", "two"]), "{styles:?}");
    assert_eq!(
        (&before["chosen"], &before["strength"]),
        (&0.into(), &1.0.into())
    );
    let after = post(
        port,
        r#"{"style": 1, "strength": 0.4, "keep_color": true, "fade": 250, "mirror": true}"#,
    );
    assert_eq!(after.status, 200);
    let after = state(port);
    assert_eq!(after["chosen"], 1);
    assert_eq!(after["strength"], 0.4);
    assert_eq!(
        (&after["keep_color"], &after["mirror"]),
        (&true.into(), &true.into())
    );
    assert_eq!(after["fade"], 250);
    let from = Instant::now();
    while !state(port)["statistics"]["model"]
        .as_str()
        .unwrap()
        .ends_with("two.safetensors")
    {
        assert!(from.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
    // Nonsense changes nothing.
    for nonsense in [
        r#"{"no": 1}"#,
        r#"{"style": -1}"#,
        "{",
        r#"{"strength": "x"}"#,
    ] {
        assert!(
            (400..500).contains(&post(port, nonsense).status),
            "{nonsense}"
        );
    }
    assert_eq!(state(port)["chosen"], 1);
    assert_eq!(post(port, r#"{"strength": 7}"#).status, 200);
    assert_eq!(state(port)["strength"], 1.0);

    let from = Instant::now();
    let painted = loop {
        match get(port, "/style/1") {
            answer if answer.status == 200 => break answer.body,
            answer => assert_eq!(answer.status, 503),
        }
        assert!(from.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(image::load_from_memory(&painted).unwrap().width(), 320);
    assert_eq!(get(port, "/style/1000").status, 404);
    let output = program.end();
    assert!(output.status.success());
}

#[test]
fn other_sites_have_no_access() {
    let (program, port, _) = with_page("127.0.0.1");
    let other = request(port, "GET", "/state", "Host: evil.example\r\n", "");
    assert_eq!(other.status, 403);
    // A form of another page cannot send JSON.
    let form = "Content-Type: text/plain\r\n";
    assert_eq!(
        request(port, "POST", "/change", form, r#"{"style": 1}"#).status,
        415
    );
    assert_eq!(state(port)["chosen"], 0);
    program.end();
}

#[test]
fn beyond_this_machine_a_token_is_needed() {
    let (program, port, token) = with_page("0.0.0.0");
    let token = token.unwrap();
    for path in [
        "/",
        "/state",
        "/picture",
        "/style/0",
        "/?token=",
        "/?token=0123",
    ] {
        assert_eq!(get(port, path).status, 403, "{path}");
    }
    assert_eq!(post(port, r#"{"style": 1}"#).status, 403);
    let page = get(port, &format!("/?token={token}"));
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains("set-cookie: faststyle="),
        "{}",
        page.head
    );
    let cookie = format!("Cookie: faststyle={token}\r\n");
    assert_eq!(request(port, "GET", "/state", &cookie, "").status, 200);
    program.end();
}

#[test]
fn many_readers_get_pictures_at_once() {
    let (program, port, _) = with_page("127.0.0.1");
    let readers: Vec<_> = (0..20)
        .map(|_| thread::spawn(move || (0..5).all(|_| get(port, "/picture?after=0").status == 200)))
        .collect();
    assert!(readers.into_iter().all(|reader| reader.join().unwrap()));
    program.end();
}
