//! What commands print. A reader that has seen enough (`slipstream events list | head`) ends them without an error.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use super::exit::Exit;

/// `println!` for commands.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::cli::say::text(format_args!("{}\n", format_args!($($part)*)))
    };
}

/// Writes to standard output; ends the process if nobody reads it any more.
pub(super) fn text(text: Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    let Err(error) = output.write_fmt(text).and_then(|()| output.flush()) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(Exit::Done as i32);
    }
    let _ = writeln!(std::io::stderr(), "slipstream: standard output cannot be written: {error}");
    std::process::exit(Exit::Failed as i32);
}
