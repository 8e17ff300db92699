//! Programs that run beside a test.

use super::PATIENCE;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A program that does not outlive its test, even if it hangs.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Running(command.spawn().unwrap())
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        let id = self.0.id().to_string();
        // A shell has `kill` where the program of this name is not installed.
        let sent = Command::new("sh")
            .args(["-c", "kill -INT $0", &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let from = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(from.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end, and returns what it has written into pipes.
    pub fn output(mut self) -> Output {
        let stdout = self.0.stdout.take().map(read);
        let stderr = self.0.stderr.take().map(read);
        let status = self.wait();
        let text = |reader: Option<JoinHandle<_>>| {
            reader.map_or(Vec::new(), |reader| reader.join().unwrap())
        };
        Output {
            status,
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }
}

/// Reads to the end in a thread: a full pipe would hold up the program.
fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}
