//! The body of an answer: at once, or in pieces over time, or cut off.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::connection::Broken;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    Whole(Bytes),
    Paced(Box<Paced>),
}

#[derive(Debug)]
pub(super) struct Paced {
    pieces: VecDeque<Bytes>,
    /// How much passes before each piece.
    gap: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// How many bytes are still promised.
    promised: u64,
}

impl AnswerBody {
    /// The body in so many pieces, with so much time before each.
    pub(super) fn slow(body: &Bytes, pieces: usize, gap: Duration) -> Self {
        let size = body.len().div_ceil(pieces.max(1)).max(1);
        let pieces = (0..body.len()).step_by(size).map(|at| body.slice(at..body.len().min(at + size))).collect();
        Self::paced(pieces, gap, body.len())
    }

    /// The first half of the body, then the connection's end.
    pub(super) fn truncated(body: &Bytes) -> Self {
        // The time before the end lets the half go out first.
        Self::paced(VecDeque::from([body.slice(..body.len() / 2)]), Duration::from_millis(1), body.len())
    }

    fn paced(pieces: VecDeque<Bytes>, gap: Duration, length: usize) -> Self {
        Self::Paced(Box::new(Paced { pieces, gap, waiting: None, promised: length as u64 }))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                let body = std::mem::take(body);
                Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))))
            }
            Self::Paced(paced) => {
                if paced.promised == 0 {
                    return Poll::Ready(None);
                }
                let gap = paced.gap;
                ready!(paced.waiting.get_or_insert_with(|| Box::pin(sleep(gap))).as_mut().poll(context));
                paced.waiting = None;
                let Some(piece) = paced.pieces.pop_front() else { return Poll::Ready(Some(Err(Broken::Closed))) };
                paced.promised -= piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(body) => body.len() as u64,
            Self::Paced(paced) => paced.promised,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_comes_whole_in_its_time() {
        let begun = Instant::now();
        let body = AnswerBody::slow(&Bytes::from_static(b"0123456789"), 4, Duration::from_millis(100));
        assert_eq!(body.size_hint().exact(), Some(10));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "0123456789");
        assert_eq!(begun.elapsed(), Duration::from_millis(400));
    }

    #[tokio::test(start_paused = true)]
    async fn a_truncated_body_promises_more_than_it_gives() {
        let mut body = AnswerBody::truncated(&Bytes::from_static(b"0123456789"));
        assert_eq!(body.size_hint().exact(), Some(10));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "01234");
        assert_eq!(body.frame().await.unwrap().unwrap_err(), Broken::Closed);
    }
}
