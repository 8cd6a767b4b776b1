//! A listener that keeps what is posted to it, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a test may read of a message, at most.
const LONGEST: usize = 1 << 20;

/// How one post is answered.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Status(u16),
    RedirectTo(String),
    /// Not at all: the connection stays open.
    Silence,
}

/// What was posted.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) path: String,
    pub(super) content_type: String,
    pub(super) body: Value,
}

impl Post {
    /// State, kind and subject of the message.
    pub(super) fn tells(&self) -> (&str, &str, &str) {
        let text = |field: &str| self.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.body));
        (text("state"), text("kind"), text("subject"))
    }
}

#[derive(Debug, Default)]
struct Kept {
    posts: Vec<Post>,
    answers: VecDeque<Answer>,
}

/// A running listener. Dropping it ends it.
pub(super) struct Receiver {
    address: String,
    kept: Arc<Mutex<Kept>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// A listener that takes everything.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let app = Router::new().fallback(keep).with_state(Arc::clone(&kept));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, kept, serving }
    }

    /// An address of it. Every path is taken.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The next posts are answered like this, and those behind them with 200.
    pub(super) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.kept.lock().unwrap().answers.extend(answers);
    }

    /// Everything that was posted, in order.
    pub(super) fn posts(&self) -> Vec<Post> {
        self.kept.lock().unwrap().posts.clone()
    }

    /// States, kinds and subjects of what was posted, in order.
    pub(super) fn told(&self) -> Vec<(String, String, String)> {
        let owned = |(state, kind, subject): (&str, &str, &str)| (state.to_owned(), kind.to_owned(), subject.to_owned());
        self.posts().iter().map(|post| owned(post.tells())).collect()
    }

    /// States of what was posted, in order.
    pub(super) fn states(&self) -> Vec<String> {
        self.told().into_iter().map(|(state, _, _)| state).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn keep(State(kept): State<Arc<Mutex<Kept>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LONGEST).await.unwrap();
    let content_type = head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
    let post = Post {
        path: head.uri.path().to_owned(),
        content_type: content_type.unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap(),
    };
    let answer = {
        let mut kept = kept.lock().unwrap();
        kept.posts.push(post);
        kept.answers.pop_front().unwrap_or(Answer::Status(200))
    };
    match answer {
        Answer::Status(status) => Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::empty()).unwrap(),
        Answer::RedirectTo(url) => Response::builder().status(StatusCode::FOUND).header(header::LOCATION, url).body(Body::empty()).unwrap(),
        Answer::Silence => std::future::pending().await,
    }
}
