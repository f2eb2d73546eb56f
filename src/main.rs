//! The program: arguments in, exit code out.

fn main() -> anyhow::Result<std::process::ExitCode> {
    banggia::cli::main()
}
