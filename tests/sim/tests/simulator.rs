//! A simulated account of a test's own, served on a free port.

use headwater_sim::clock::Clock;
use headwater_sim::cloud::Cloud;
use headwater_sim::faults::Faults;
use headwater_sim::journal::Journal;
use headwater_sim::server::{Options, Server};

/// Starts a simulator without faults, on this machine's clock.
pub(crate) async fn start() -> Server {
    let cloud = Cloud::new(Clock::of_this_machine(), Journal::keeping());
    let options = Options { tick: true, ..Options::default() };
    Server::start(cloud, Faults::default(), options).await.unwrap()
}

/// Where it answers.
pub(crate) fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}
