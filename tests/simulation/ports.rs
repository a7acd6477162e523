//! Queue, time and chance in the simulated world, and what all ports share: an await point before and after each
//! operation, at which its worker may be crashed or overtaken.

use crate::world::World;
use certbridge_sync::{
    error::StoreError,
    ports::{RetryQueue, Runtime},
    row::Pointer,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

thread_local! {
    static POINTS: Cell<u64> = const { Cell::new(0) };
}

/// How many await points were passed on this thread: while that stands still, everybody sleeps.
pub(crate) fn points() -> u64 {
    POINTS.get()
}

/// An await point: somebody else may go on before this task does, or this task may never go on.
pub(crate) async fn point() {
    let mut passed = false;
    poll_fn(|context| {
        POINTS.set(POINTS.get() + 1);
        if passed {
            return Poll::Ready(());
        }
        passed = true;
        // Of futures in a bunch, only those are polled that were woken.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Whose ports they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    /// Its number, by which the world knows those that carry a batch.
    pub(crate) number: u64,
    /// How far its clock is from the world's.
    pub(crate) skew: SignedDuration,
}

#[derive(Clone)]
pub(crate) struct SimQueue(pub(crate) World);

impl RetryQueue for SimQueue {
    async fn send(&self, pointers: &[(Pointer, Duration)]) -> Result<(), StoreError> {
        point().await;
        for (pointer, delay) in pointers {
            // SQS keeps what it took; what may be lost on the way is a pointer that the sweep finds again.
            if matches!(pointer, Pointer::Event(_)) && self.0.strikes(10) {
                continue;
            }
            let mut world = self.0.lock();
            let due = world.now + *delay;
            world.queue.push((pointer.clone(), due));
        }
        point().await;
        Ok(())
    }
}

/// A process' clock, which is not quite the world's.
#[derive(Clone)]
pub(crate) struct SimRuntime {
    pub(crate) world: World,
    pub(crate) process: Process,
}

impl Runtime for SimRuntime {
    fn now(&self) -> Timestamp {
        self.world.now() + self.process.skew
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        let until = self.world.now() + duration;
        let world = self.world.clone();
        poll_fn(move |context| {
            let mut state = world.lock();
            if state.now >= until {
                return Poll::Ready(());
            }
            state.wakes_at = state.wakes_at.min(until);
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    fn random(&self) -> u128 {
        self.world.lock().rng.u128(..)
    }
}
