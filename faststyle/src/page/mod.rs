//! The control page: live preview, styles to click, sliders, statistics.
//!
//! A small web server in a thread of its own. Where it listens beyond this machine,
//! requests must carry a token, which the printed address contains.

mod pictures;

pub use pictures::Pictures;

use crate::live::{Choice, Controls, State};
use crate::messages::say;
use crate::sheet;
use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::{Path as InPath, Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use image::ImageFormat;
use serde::Deserialize;
use std::io::{Cursor, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;

const PAGE: &str = include_str!("page.html");

/// The cookie that holds the token.
const COOKIE: &str = "faststyle";

/// How long a request for a new picture waits for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running server, which ends when dropped.
pub struct Page {
    address: String,
    pictures: Pictures,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What all requests share.
struct Server {
    controls: Arc<Mutex<Controls>>,
    pictures: Pictures,
    /// The still in each style, once painted.
    styles: Vec<OnceLock<Bytes>>,
    /// What requests must carry.
    token: Option<String>,
}

impl Page {
    /// Opens the page at this address.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub fn open(address: SocketAddr, controls: Arc<Mutex<Controls>>) -> Result<Self> {
        let listener = TcpListener::bind(address);
        let listener = listener.with_context(|| format!("--page={address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let token = (!address.ip().is_loopback()).then(token).transpose()?;
        let choices = lock(&controls).choices().to_vec();
        let pictures = Pictures::default();
        let server = Arc::new(Server {
            controls,
            pictures: pictures.clone(),
            styles: choices.iter().map(|_| OnceLock::new()).collect(),
            token: token.clone(),
        });
        let here = server.clone();
        thread::spawn(move || here.paint_styles(&choices));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.spawn(async move {
                let served = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => axum::serve(listener, router(server)).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = served {
                    say(format_args!("the page: {error}"));
                }
            });
            // Ends with the sender, too.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        });
        Ok(Page {
            address: url(address, token.as_deref()),
            pictures,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// What to open in a browser.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where the preview's pictures go.
    pub fn pictures(&self) -> Pictures {
        self.pictures.clone()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong.
            let _ = thread.join();
        }
    }
}

fn lock(controls: &Mutex<Controls>) -> MutexGuard<'_, Controls> {
    controls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 128 random bits.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    let random =
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    random.context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What to open in a browser, on this machine or, with a token, on others.
fn url(address: SocketAddr, token: Option<&str>) -> String {
    let mut shown = address;
    if address.ip().is_unspecified()
        && let Some(ip) = own_ip()
    {
        shown.set_ip(ip);
    }
    match token {
        Some(token) => format!("http://{shown}/?token={token}"),
        None => format!("http://{shown}/"),
    }
}

/// This machine's address as others see it. Nothing is sent.
fn own_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/picture", get(picture))
        .route("/style/{number}", get(style))
        .route("/state", get(state))
        .route("/change", post(change))
        .layer(middleware::from_fn_with_state(server.clone(), guard))
        .with_state(server)
}

/// Lets those requests pass that may.
async fn guard(Shared(server): Shared<Arc<Server>>, request: Request, next: Next) -> Response {
    let allowed = match &server.token {
        Some(token) => carries(&request, token),
        // Another site's name that leads here would give its scripts access.
        None => is_local(request.headers()),
    };
    if !allowed {
        let text = "Open the address that faststyle has printed.";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

/// Whether the address or the cookie has the token.
fn carries(request: &Request, token: &str) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let mut parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let cookies = request.headers().get_all(header::COOKIE).iter();
    let mut cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
    parameters.any(|(name, value)| name == "token" && value == token)
        || cookies.any(|cookies| {
            let mut pairs = cookies
                .split(';')
                .filter_map(|pair| pair.trim().split_once('='));
            pairs.any(|(name, value)| name == COOKIE && value == token)
        })
}

fn is_local(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    host.is_some_and(|host| {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let ip = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

async fn page(Shared(server): Shared<Arc<Server>>) -> Response {
    let mut response = Html(PAGE).into_response();
    if let Some(token) = &server.token
        && let Ok(cookie) = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict").parse()
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

/// The next picture after one of this number.
async fn picture(
    Shared(server): Shared<Arc<Server>>,
    Query(After { after }): Query<After>,
) -> Response {
    let next = tokio::time::timeout(PATIENCE, server.pictures.after(after)).await;
    match next {
        Ok(Some((number, jpeg))) => {
            let number = number.to_string();
            let headers = [
                ("x-number", number.as_str()),
                ("content-type", "image/jpeg"),
                ("cache-control", "no-store"),
            ];
            (headers, jpeg).into_response()
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// The still in a style.
async fn style(Shared(server): Shared<Arc<Server>>, InPath(number): InPath<usize>) -> Response {
    match server.styles.get(number).map(OnceLock::get) {
        Some(Some(jpeg)) => ([("content-type", "image/jpeg")], jpeg.clone()).into_response(),
        // Not painted yet.
        Some(None) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn state(Shared(server): Shared<Arc<Server>>) -> Json<State> {
    Json(lock(&server.controls).state())
}

/// What the page changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    style: Option<usize>,
    strength: Option<f64>,
    smoothing: Option<f64>,
    original: Option<bool>,
    keep_color: Option<bool>,
    stroke_scale: Option<f64>,
    scale: Option<f64>,
    fade: Option<u32>,
    mirror: Option<bool>,
}

async fn change(Shared(server): Shared<Arc<Server>>, Json(change): Json<Change>) -> Json<State> {
    let mut controls = lock(&server.controls);
    // First, so that the change of style fades so.
    change
        .fade
        .inspect(|&fade| controls.set_fade(fade.min(60_000)));
    change.style.inspect(|&style| controls.choose(style));
    change
        .strength
        .inspect(|&strength| controls.set_strength(strength));
    change
        .smoothing
        .inspect(|&smoothing| controls.set_smoothing(smoothing));
    change
        .original
        .inspect(|&original| controls.set_original(original));
    change
        .keep_color
        .inspect(|&keep| controls.set_keep_color(keep));
    change
        .stroke_scale
        .inspect(|&scale| controls.set_stroke_scale(scale));
    change.scale.inspect(|&scale| controls.set_scale(scale));
    change.mirror.inspect(|&mirror| controls.set_mirror(mirror));
    Json(controls.state())
}

impl Server {
    /// Paints the still in all styles.
    fn paint_styles(&self, choices: &[Choice]) {
        let mut painter = sheet::StylePainter::new(gstfaststyle::Options {
            // One beside those of the video.
            threads: 1,
            ..Default::default()
        });
        for (choice, place) in choices.iter().zip(&self.styles) {
            match painted(&mut painter, choice) {
                // It is set once.
                Ok(jpeg) => drop(place.set(jpeg)),
                Err(error) => say(format_args!("{}: {error:#}", choice.name)),
            }
        }
    }
}

/// The still in a style, as JPEG.
fn painted(painter: &mut sheet::StylePainter, choice: &Choice) -> Result<Bytes> {
    let style = choice.style.as_deref();
    let picture = choice.picture.as_deref().map(Path::new);
    let still = sheet::still()?;
    let painting = painter.paint(&still, choice.model.as_ref(), style, picture)?;
    let mut jpeg = Vec::new();
    painting.write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg)?;
    Ok(jpeg.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, header: (&'static str, &'static str)) -> Request {
        let request = Request::builder().uri(uri).header(header.0, header.1);
        request.body(axum::body::Body::empty()).unwrap()
    }

    #[test]
    fn a_token_is_carried_by_the_address_or_a_cookie() {
        let other = ("cookie", "a=b; faststyle=no");
        let cookie = ("cookie", "a=b; faststyle=secret");
        assert!(carries(&request("/?a=b&token=secret", other), "secret"));
        assert!(carries(&request("/picture", cookie), "secret"));
        assert!(!carries(
            &request("/picture?token=secretly", other),
            "secret"
        ));
        assert!(!carries(&request("/?token=", other), "secret"));
        assert_ne!(token().unwrap(), token().unwrap());
    }

    #[test]
    fn other_names_of_this_machine_are_refused() {
        let local = |host| is_local(request("/", ("host", host)).headers());
        for host in [
            "localhost",
            "localhost:8642",
            "127.0.0.1:1",
            "[::1]:80",
            "127.0.0.1",
        ] {
            assert!(local(host), "{host}");
        }
        for host in [
            "evil.example:8642",
            "localhost.evil.example",
            "10.0.0.1",
            "",
        ] {
            assert!(!local(host), "{host}");
        }
    }

    #[test]
    fn the_address_is_for_others_where_it_listens_for_them() {
        let address = url("127.0.0.1:80".parse().unwrap(), None);
        assert_eq!(address, "http://127.0.0.1:80/");
        let address = url("10.1.2.3:80".parse().unwrap(), Some("x"));
        assert_eq!(address, "http://10.1.2.3:80/?token=x");
    }
}
