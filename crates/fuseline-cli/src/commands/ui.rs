//! `fuseline ui`: the runs of a cache as pages in a browser. Executes and writes nothing.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fuseline::open_cache;
use fuseline_ui::{Server, ServerError};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::args::CacheArgs;
use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `ui`.
#[derive(clap::Args)]
#[command(after_help = "\
The pages are for this machine alone, and for who has the address that is printed: it holds a \
token. Nothing is executed,
nothing is written, and no other machine is asked. Ctrl-C ends it.

From another machine: ssh -L 8100:localhost:8100 HOST, and there `fuseline ui --port 8100 \
--no-open`.

Examples:
  fuseline ui
  fuseline ui --cache /scratch/cache --port 8100 --no-open")]
pub struct Args {
    #[command(flatten)]
    pub cache: CacheArgs,
    /// The port of this machine to listen at; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// Print the address, and open no browser
    #[arg(long)]
    pub no_open: bool,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let server = Server::bind(open_cache(args.cache.folder()?)?, args.port)?;
    let stop = Arc::<AtomicBool>::default();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).map_err(Failure::failed)?;
    }
    let address = server.address();
    print::result(&address);
    if !args.no_open && print::is_rich() && !open(&address) {
        print::note("No browser could be started: open the address in one.");
    }
    server.serve(&stop)?;
    Ok(Exit::Done)
}

/// Asks the desktop to open an address; true if its command has started.
fn open(address: &str) -> bool {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut started) = command.spawn() else { return false };
    // Some desktops keep it for as long as the browser is open.
    std::thread::spawn(move || started.wait());
    true
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match &error {
            ServerError::Port { .. } => {
                Self::wrong(error.to_string()).hint("without --port, any that is free is taken")
            }
            _ => Self::failed(error),
        }
    }
}
