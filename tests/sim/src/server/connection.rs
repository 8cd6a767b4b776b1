//! One connection.

use std::error::Error;
use std::sync::Arc;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Shared, exchange};

/// Why a connection ends without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// The client is to see "connection reset by peer".
    #[error("the connection is reset")]
    Reset,
    /// The client is to see the connection's end.
    #[error("the connection is closed")]
    Closed,
}

/// Serves a connection until either side ends it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Answers are small and written at once; waiting for more to send would only make them late.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| exchange::answer(shared.clone(), request));
    let mut connection = Builder::new().auto_date_header(false).header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
    let Err(error) = (&mut connection).await else { return };
    if error.source().and_then(<dyn Error>::downcast_ref) == Some(&Broken::Reset) {
        // Closing with nothing left to linger for sends RST instead of FIN.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}
