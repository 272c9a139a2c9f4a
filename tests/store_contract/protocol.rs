//! How a token is taken from a Redis with a replica, as a model of which every interleaving is tried:
//! commands and answers get lost or come late, the replica lags behind, and the master dies.
//!
//! The model has the steps of `store::redis::tokens`: a take that names its attempt and may be sent
//! twice, and a confirmation that waits for the replica.

use stateright::{Checker, Model, Property};

/// What stands at the token's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Value {
    Open,
    /// Taken by this node's attempt.
    Spent(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Command {
    Take,
    Confirm,
}

/// How far a node is with its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// It waits for the answer to a command that it has sent so often.
    Waiting(Command, u8),
    Won,
    Late,
    /// It does not know: its visitor is told that the store does not answer.
    Unsure,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    master: Value,
    replica: Value,
    /// Whether the master has a replica.
    is_replicated: bool,
    nodes: [Node; 2],
    /// Commands that have not arrived yet, of which node. Nobody takes them back.
    under_way: Vec<(usize, Command)>,
    failovers: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// A command arrives; its answer, too, or not.
    Arrives {
        place: usize,
        answered: bool,
    },
    /// A node has waited long enough.
    TimesOut(usize),
    Replicates,
    /// The master dies, and the replica takes its place.
    FailsOver,
    /// A new replica has all that the master has.
    Joins,
}

/// The protocol, with or without waiting for the replica.
struct Protocol {
    confirms: bool,
}

const MOST_SENT: u8 = 2;
const MOST_FAILOVERS: u8 = 2;

impl World {
    fn send(&mut self, node: usize, command: Command, times: u8) {
        self.nodes[node] = Node::Waiting(command, times);
        self.under_way.push((node, command));
        self.under_way.sort_unstable_by_key(|(node, command)| (*node, *command == Command::Confirm));
    }

    /// What the server does, and what the node makes of its answer.
    fn serve(&mut self, node: usize, command: Command, confirms: bool) -> (Node, Option<Command>) {
        match command {
            Command::Take => {
                if self.master == Value::Open {
                    self.master = Value::Spent(node);
                }
                match self.master == Value::Spent(node) {
                    true if confirms && self.is_replicated => (Node::Unsure, Some(Command::Confirm)),
                    true => (Node::Won, None),
                    false => (Node::Late, None),
                }
            }
            Command::Confirm => {
                let own = Value::Spent(node);
                let is_safe = self.master == own && self.is_replicated && self.replica == own;
                (if is_safe { Node::Won } else { Node::Unsure }, None)
            }
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            master: Value::Open,
            replica: Value::Open,
            is_replicated: true,
            nodes: [Node::Unsure; 2],
            under_way: Vec::new(),
            failovers: 0,
        };
        for node in 0..world.nodes.len() {
            world.send(node, Command::Take, 1);
        }
        vec![world]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for place in 0..world.under_way.len() {
            steps.extend([true, false].map(|answered| Step::Arrives { place, answered }));
        }
        let waits = |node: &usize| matches!(world.nodes[*node], Node::Waiting(..));
        steps.extend((0..world.nodes.len()).filter(waits).map(Step::TimesOut));
        if world.is_replicated && world.replica != world.master {
            steps.push(Step::Replicates);
        }
        if world.is_replicated && world.failovers < MOST_FAILOVERS {
            steps.push(Step::FailsOver);
        }
        if !world.is_replicated {
            steps.push(Step::Joins);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Arrives { place, answered } => {
                let (node, command) = next.under_way.remove(place);
                let (told, then) = next.serve(node, command, self.confirms);
                let is_awaited = matches!(next.nodes[node], Node::Waiting(awaited, _) if awaited == command);
                if answered && is_awaited {
                    next.nodes[node] = told;
                    if let Some(command) = then {
                        next.send(node, command, 1);
                    }
                }
            }
            Step::TimesOut(node) => match next.nodes[node] {
                Node::Waiting(command, times) if times < MOST_SENT => next.send(node, command, times + 1),
                _ => next.nodes[node] = Node::Unsure,
            },
            Step::Replicates => next.replica = next.master,
            Step::FailsOver => {
                next.master = next.replica;
                next.is_replicated = false;
                next.failovers += 1;
            }
            Step::Joins => {
                next.replica = next.master;
                next.is_replicated = true;
            }
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a token is won once at most", |_, world: &World| {
                world.nodes.iter().filter(|node| **node == Node::Won).count() <= 1
            }),
            Property::sometimes("a token is won after the master has died", |_, world: &World| {
                world.failovers > 0 && world.nodes.contains(&Node::Won)
            }),
            Property::sometimes("whoever comes too late is told", |_, world: &World| {
                world.nodes == [Node::Won, Node::Late]
            }),
        ]
    }
}

#[test]
fn in_no_interleaving_is_a_token_won_twice() {
    let checked = Protocol { confirms: true }.checker().spawn_bfs().join();
    assert!(checked.unique_state_count() > 1_000, "{}", checked.unique_state_count());
    checked.assert_properties();
}

#[test]
fn without_waiting_for_the_replica_it_would_be() {
    let checked = Protocol { confirms: false }.checker().spawn_bfs().join();
    assert!(checked.discovery("a token is won once at most").is_some());
}
