//! The loop of a generic server.

use super::{Init, Message, Next, Server, ServerAddr, ServerProcess, Verdict};
use crate::{
    mailbox::Mailbox,
    process::Process,
    reason::{Exit, ExitReason},
    rt,
    sys::port::{Kind, Port, Subject, Woken},
};
use std::any::Any;

pub(super) async fn run<S: Server>(process: Process, mailbox: Mailbox<Message<S>>, args: S::Args) -> Exit {
    process.shows(&mailbox);
    let mut port = Port::open(&process, mailbox.gauge());
    let addr = ServerAddr { addr: mailbox.addr() };
    let server = ServerProcess { process, addr };
    let Init { state, next } = S::init(args, &server).await?;
    let Some(mut state) = state else {
        return Ok(());
    };
    server.ready();
    let (reason, last) = serve(&mut state, &server, &mailbox, &mut port, next).await;
    let ended = port.run(state.terminate(&reason, &server)).await;
    if let Some(last) = last {
        last();
    }
    ended?;
    match reason {
        ExitReason::Normal => Ok(()),
        reason => Err(reason),
    }
}

type Last = Option<Box<dyn FnOnce() + Send>>;

/// Until it ends: why, and what is to be sent after `terminate`.
async fn serve<S: Server>(
    state: &mut S,
    server: &ServerProcess<S>,
    mailbox: &Mailbox<Message<S>>,
    port: &mut Port,
    mut next: Next<S::Continue>,
) -> (ExitReason, Last) {
    let mut messages = mailbox.stream();
    loop {
        if let Some(reason) = next.stop.take() {
            return (reason, next.last);
        }
        let verdict = match next.then.take() {
            Some(work) => {
                port.saw(Kind::Internal, &work);
                port.run(state.handle_continue(work, server)).await
            }
            None => {
                let deadline = next.timeout.and_then(|wait| rt::now().checked_add(wait));
                match port.next(server, &mut messages, deadline, &mut Seen(state)).await {
                    Woken::Message(message) => handle(state, message, server, port).await,
                    Woken::Timeout => {
                        port.saw(Kind::Timeout, &"timeout");
                        port.run(state.handle_timeout(server)).await
                    }
                    Woken::Exit(signal) => {
                        let reason = signal.reason.clone();
                        match S::trap(signal) {
                            Some(info) => handle(state, Message::Info(info), server, port).await,
                            None if reason == ExitReason::Normal => Ok(Ok(Next::noreply())),
                            None => return (reason, None),
                        }
                    }
                    Woken::Shutdown => return (server.entry.exit_reason(), None),
                }
            }
        };
        next = match verdict {
            Ok(Ok(next)) => next,
            Ok(Err(reason)) | Err(reason) => return (reason, None),
        };
    }
}

async fn handle<S: Server>(
    state: &mut S,
    message: Message<S>,
    server: &ServerProcess<S>,
    port: &mut Port,
) -> Result<Verdict<S>, ExitReason> {
    match message {
        Message::Call(call) => {
            port.saw(Kind::Call, &call);
            port.run(state.handle_call(call, server)).await
        }
        Message::Cast(cast) => {
            port.saw(Kind::Cast, &cast);
            port.run(state.handle_cast(cast, server)).await
        }
        Message::Info(info) => {
            port.saw(Kind::Info, &info);
            port.run(state.handle_info(info, server)).await
        }
    }
}

/// A server as `sys` sees it.
struct Seen<'a, S>(&'a mut S);

impl<S: Server> Subject for Seen<'_, S> {
    fn text(&self) -> String {
        format!("{:?}", self.0)
    }
    fn json(&self) -> Option<String> {
        self.0.state_json()
    }
    fn state(&mut self) -> &mut dyn Any {
        self.0
    }
}
