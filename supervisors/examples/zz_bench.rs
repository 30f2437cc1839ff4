//! tmp
use std::time::{Duration, Instant};
use supervisors::*;
fn main() {
    // ping pong between two processes
    let (a, am) = mailbox::<u64>();
    let (b, bm) = mailbox::<u64>();
    let (done, donem) = mailbox::<Duration>();
    const N: u64 = 200_000;
    let use_stream = std::env::args().any(|x| x == "stream");
    let ping = { let b = b.clone(); ChildSpec::worker("ping", move |_| { let (b, am, done) = (b.clone(), am.clone(), done.clone()); async move {
        let t = Instant::now(); let mut s = am.stream();
        for i in 0..N { b.cast(i).ok(); if use_stream { futures::StreamExt::next(&mut s).await; } else { am.recv().await; } }
        done.cast(t.elapsed()).ok(); Ok(()) } }).restart(Restart::Temporary) };
    let pong = ChildSpec::worker("pong", move |_| { let (a, bm) = (a.clone(), bm.clone()); async move { let mut s = bm.stream(); loop { let m = if use_stream { futures::StreamExt::next(&mut s).await.unwrap_or(0) } else { bm.recv().await }; a.cast(m).ok(); } } });
    let sys = start(ChildSpec::supervisor("top", move || SupervisorSpec { flags: Flags::one_for_one(), children: vec![pong.clone(), ping.clone()] }));
    async_std::task::block_on(async {
        let d = donem.recv().await; println!("ping-pong {:?} per round trip", d / N as u32);
        sys.stop(Duration::from_secs(1)).await;
    });
    // one way
    let (a, am) = mailbox::<u64>(); let (done, donem) = mailbox::<Duration>();
    const M: u64 = 2_000_000;
    let sink = ChildSpec::worker("sink", move |_| { let (am, done) = (am.clone(), done.clone()); async move { let mut s = am.stream(); let t = Instant::now(); for _ in 0..M { if use_stream { futures::StreamExt::next(&mut s).await; } else { am.recv().await; } } done.cast(t.elapsed()).ok(); Ok(()) } });
    let sys = start(sink);
    for i in 0..M { a.cast(i).ok(); }
    async_std::task::block_on(async { println!("one way {:?} per message", donem.recv().await / M as u32); sys.wait().await; });
    // raw flume for comparison
    let (tx, rx) = flume::unbounded(); let t = Instant::now();
    let h = async_std::task::spawn(async move { for _ in 0..M { rx.recv_async().await.ok(); } });
    for i in 0..M { tx.send(i).ok(); } async_std::task::block_on(h); println!("raw flume + async-std one way {:?}", t.elapsed() / M as u32);
    let (tx, rx) = flume::unbounded(); let (tx2, rx2) = flume::unbounded(); let t = Instant::now();
    let h = async_std::task::spawn(async move { while let Ok(m) = rx.recv_async().await { tx2.send(m).ok(); } });
    async_std::task::block_on(async_std::task::spawn(async move { for i in 0..N { tx.send(i).ok(); rx2.recv_async().await.ok(); } })); drop(h);
    println!("raw flume + async-std ping-pong {:?}", t.elapsed() / N as u32);
}
