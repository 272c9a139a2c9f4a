//! What has to happen in one step on the server.
//!
//! Each script may be run twice with the same arguments, and the second time changes nothing and
//! answers as the first did, as far as anything depends on that: an answer that was lost is asked for
//! again. All keys of one script lie in one slot.

use std::sync::LazyLock;

use ::redis::{Cmd, Pipeline, ToRedisArgs, Value, cmd};
use sha1::{Digest, Sha1};

use super::driver::Exchange;
use super::trouble::Trouble;
use crate::domain::secret::hex;

/// A script, known to the server by its hash.
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));)*
    };
}

scripts! {
    TAKE = "lua/take.lua";
    CONFIRM = "lua/confirm.lua";
    SWAP = "lua/swap.lua";
    REMEMBER = "lua/remember.lua";
    FILE = "lua/file.lua";
    COUNT = "lua/count.lua";
    BEGIN = "lua/begin.lua";
    LET_IN = "lua/let_in.lua";
    END = "lua/end.lua";
    CHANGE = "lua/change.lua";
    SEEN = "lua/seen.lua";
    ADMIT = "lua/admit.lua";
    ROTATE = "lua/rotate.lua";
    PARK = "lua/park.lua";
    UNPARK = "lua/unpark.lua";
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: hex(&Sha1::digest(code)) }
    }

    fn command(name: &str, script: &str, keys: &[&str], arguments: &[impl ToRedisArgs]) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(keys.len()).arg(keys);
        for argument in arguments {
            command.arg(argument);
        }
        command
    }

    /// Its answer. The server is told the whole script only if it does not know it.
    pub(super) async fn run(
        &self,
        exchange: &Exchange,
        keys: &[&str],
        arguments: &[impl ToRedisArgs],
    ) -> Result<Value, Trouble> {
        match exchange.ask(&Self::command("EVALSHA", &self.hash, keys, arguments)).await {
            Err(Trouble::UnknownScript) => {
                exchange.ask(&Self::command("EVAL", self.code, keys, arguments)).await
            }
            answer => answer,
        }
    }

    /// Runs it and then waits until a replica has all that was written, if one does in so many
    /// milliseconds; its answer, and how many have it.
    pub(super) async fn run_and_wait(
        &self,
        exchange: &Exchange,
        keys: &[&str],
        arguments: &[impl ToRedisArgs],
        wait: u64,
    ) -> Result<(Value, i64), Trouble> {
        let mut pipeline = Pipeline::with_capacity(2);
        // A server that is the master now may not know the script.
        pipeline.add_command(Self::command("EVAL", self.code, keys, arguments));
        pipeline.cmd("WAIT").arg(1).arg(wait);
        let answers = exchange.ask_patiently(&pipeline, 2).await?;
        match <[Value; 2]>::try_from(answers) {
            Ok([answer, Value::Int(replicas)]) => Ok((answer, replicas)),
            _ => Err(Trouble::Damaged),
        }
    }
}
