//! Log lines go to standard error, one event each.

use tracing_subscriber::EnvFilter;

/// Starts logging. The filter has been checked with the settings.
pub fn start(filter: &str) {
    let filter = filter
        .parse::<EnvFilter>()
        .unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
