//! HTTP for the page, and for nothing else: plain, a few connections at a time, each for one request and not for long.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::page::{CONTENT, Pages, Source};

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 16;
/// For a request to come and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that a request may have; hyper takes no less.
const REQUEST: usize = 8192;
/// Header fields that a request may have.
const FIELDS: usize = 64;
/// Before the next try, when a connection can't be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Whoever answers; leaving scope ends it.
#[derive(Debug)]
pub struct Serving {
    _tasks: JoinSet<()>,
}

/// Answers `GET /metrics` on the listeners with what the source knows.
pub fn serve(listeners: Vec<TcpListener>, source: Arc<impl Source>) -> Serving {
    let (pages, room) = (Arc::new(Pages::new(source)), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut tasks = JoinSet::new();
    for listener in listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "telling metrics");
        }
        tasks.spawn(accept(listener, pages.clone(), room.clone()));
    }
    Serving { _tasks: tasks }
}

async fn accept(listener: TcpListener, pages: Arc<Pages>, room: Arc<Semaphore>) {
    let mut served = JoinSet::new();
    // It is never closed.
    while let Ok(permit) = room.clone().acquire_owned().await {
        while served.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, _)) => {
                let pages = pages.clone();
                served.spawn(async move {
                    // Who leaves early, or says something that is no HTTP, is his own concern.
                    let _ = tokio::time::timeout(PATIENCE, connection(socket, &pages)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, pages: &Pages) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(answer(&request, pages)) });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(REQUEST).max_headers(FIELDS);
    http.serve_connection(TokioIo::new(socket), service).await
}

fn answer<B>(request: &Request<B>, pages: &Pages) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "there is only /metrics here\n");
    }
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "it can only be read\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    match pages.write() {
        Ok(page) => {
            let mut response = Response::new(page);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
            response
        }
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the page can't be written\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}
