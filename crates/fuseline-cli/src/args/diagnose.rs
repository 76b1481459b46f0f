//! Arguments of `diagnose`.

use clap::Subcommand;

/// What `diagnose` does.
#[derive(Subcommand)]
pub enum Diagnose {
    /// Ask a program on the other side of standard input and output, as the Python package does
    #[command(after_help = "\
The other side sends a header, then answers questions; docs/frozen-models.md has the protocol. It is what
`fuseline.diagnose` in Python speaks, and any language with pipes can.")]
    Serve,
}
