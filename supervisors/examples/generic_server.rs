//! A generic server: state, calls and casts, without a loop of one's own.
//!
//! A shop keeps a stock. It answers at once, later, or by crashing; `sys` looks inside, holds it still and corrects its books.
//!
//! `cargo run -p supervisors --example generic_server`

use std::{collections::BTreeMap, time::Duration};
use supervisors::{
    CallError, ChildSpec, ExitReason, Flags, Init, Next, Reply, Server, ServerProcess, SupervisorSpec, Verdict, sys,
};

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Shop {
    stock: BTreeMap<&'static str, u32>,
    /// Who waits for what is sold out.
    queue: Vec<(&'static str, Reply<u32>)>,
}

#[derive(Debug)]
enum Call {
    /// From customers: one of these; the answer is how many are left. Waits for the next delivery when it is sold out.
    Buy { what: &'static str, from: Reply<u32> },
}

#[derive(Debug)]
enum Cast {
    /// From suppliers.
    Deliver { what: &'static str, count: u32 },
}

impl Server for Shop {
    type Args = BTreeMap<&'static str, u32>;
    type Call = Call;
    type Cast = Cast;
    type Info = ();
    type Continue = ();

    async fn init(stock: Self::Args, shop: &ServerProcess<Self>) -> Result<Init<Self>, ExitReason> {
        println!("  {} opens, day {}", shop.path(), shop.incarnation() + 1);
        Ok(Self { stock, queue: Vec::new() }.into())
    }

    async fn handle_call(&mut self, Call::Buy { what, from }: Call, _: &ServerProcess<Self>) -> Verdict<Self> {
        let Some(left) = self.stock.get_mut(what) else {
            panic!("nobody has ever heard of {what}");
        };
        if *left == 0 {
            self.queue.push((what, from));
            return Ok(Next::noreply());
        }
        *left -= 1;
        Ok(Next::reply(from, *left))
    }

    async fn handle_cast(&mut self, cast: Cast, _: &ServerProcess<Self>) -> Verdict<Self> {
        let Cast::Deliver { what, count } = cast;
        let left = self.stock.entry(what).or_default();
        *left += count;
        let (served, queue) = std::mem::take(&mut self.queue).into_iter().partition(|(wanted, _)| *wanted == what);
        self.queue = queue;
        for (_, from) in served {
            *left = left.saturating_sub(1);
            from.send(*left);
        }
        Ok(Next::noreply())
    }

    async fn terminate(self, reason: &ExitReason, _: &ServerProcess<Self>) {
        let reason = match reason {
            ExitReason::Panic { message, .. } => message.clone(),
            reason => reason.to_string(),
        };
        println!("  closes with {:?}: {reason}", self.stock);
    }
}

fn main() {
    println!("an answer at once, and one that waits for a delivery:");
    let (shop, mailbox) = Shop::mailbox();
    let system = supervisors::start(ChildSpec::supervisor("street_sup", move || SupervisorSpec {
        flags: Flags::one_for_one(),
        children: vec![Shop::child_spec("shop", &mailbox, BTreeMap::from([("apples", 1)]))],
    }));
    let buy = async |what| shop.call(LIMIT, |from| Call::Buy { what, from }).await;
    async_std::task::block_on(async {
        println!("  apples left: {:?}", buy("apples").await);
        let deliver = async { shop.cast(Cast::Deliver { what: "apples", count: 5 }) };
        println!("  apples left: {:?}", futures::join!(buy("apples"), deliver).0);

        println!("sys, from the pid alone:");
        let snapshot = system.snapshot();
        let pid = snapshot.find("street_sup/shop").first().and_then(|node| node.pid);
        if let Some(pid) = pid {
            println!("  state: {:?}", sys::get_state(pid, LIMIT).await);
            let counted = sys::replace_state(pid, LIMIT, |shop: &mut Shop| shop.stock.insert("apples", 100)).await;
            println!("  the books said {counted:?}");
            println!("  apples left: {:?}", buy("apples").await);
        }

        println!("a message that it cannot bear:");
        let (pears, apples) = (buy("pears").await, buy("apples").await);
        println!("  pears left: {pears:?} ({})\n  apples left: {apples:?}", CallError::Down);
        println!("the end: {}", system.stop(LIMIT).await);
    });
}
