//! What happens on Ctrl-C? The first lets a command say what is known so far, the second ends it at once.

use crate::exit::Exit;
use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use signal_hook::low_level::unregister;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Whether somebody wants no more, as long as it lives.
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    actions: Vec<signal_hook::SigId>,
}

/// How often a command that cannot end by itself is looked at.
const LOOK: Duration = Duration::from_millis(50);

impl Interrupt {
    /// Begins to listen.
    pub fn listen() -> anyhow::Result<Interrupt> {
        let (asked, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let code = i32::from(Exit::Interrupted.code());
        let what = "listening for Ctrl-C";
        // In this order: at the second one the first has set what ends the program.
        let second = flag::register_conditional_shutdown(SIGINT, code, Arc::clone(&asked)).context(what)?;
        let first = flag::register(SIGINT, Arc::clone(&asked)).context(what)?;
        Ok(Interrupt { asked, over, actions: vec![second, first] })
    }

    /// Says whether somebody wants no more.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends the program when somebody asks, after saying what was told last: for what cannot end by itself.
    pub fn ends_with(&self, told: &Arc<Mutex<Vec<String>>>) {
        let (asked, over, told) = (Arc::clone(&self.asked), Arc::clone(&self.over), Arc::clone(told));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if asked.load(Ordering::Relaxed) {
                    let told = told.lock().map(|told| told.join("; ")).unwrap_or_default();
                    eprintln!("interrupted, nothing is written. Until then: {told}");
                    std::process::exit(i32::from(Exit::Interrupted.code()));
                }
                std::thread::sleep(LOOK);
            }
        });
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for action in self.actions.drain(..) {
            unregister(action);
        }
    }
}
