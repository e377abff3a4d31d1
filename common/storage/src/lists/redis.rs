//! Lists in Redis: a sorted set each, of ids as texts that sort alike, with one below all ids that says that the list is here.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script, ScriptInvocation};
use sluice_wire::id::{decode, encode};
use tokio::time::{Instant, timeout};

use super::standing::Standing;
use super::{BARRED, Engine, KEPT, Newest};
use crate::error::StorageError;

/// How long a reader waits for it, and a writer. Rows are as good, and take no longer.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));
/// How long it is not asked after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);

/// A change begins: it is one of those under way, and is told from all before.
const CHANGE: &str = "
local function change(key, ms)
  redis.call('INCR', key .. ':busy')
  redis.call('PEXPIRE', key .. ':busy', ms)
  redis.call('INCR', key .. ':seen')
  redis.call('PEXPIRE', key .. ':seen', ms)
end
";
/// Counts what a process told, and forgets it an hour after the last time: to that process this is an older state. What is behind what the
/// process knows stays so until it is told: a question whose answer is lost makes up for nothing.
const COUNT: &str = "
local function count(key, known)
  local told = tonumber(redis.call('GET', key) or '0')
  if told < tonumber(known) then return told end
  told = redis.call('INCR', key)
  redis.call('EXPIRE', key, 3600)
  return told
end
";
/// Adds an id to lists that are here, before the key of the count: milliseconds that a change may take, id, most, the count as it is known.
const PUSH: &str = "
for i = 1, #KEYS - 1 do
  local key = KEYS[i]
  change(key, ARGV[1])
  if redis.call('EXISTS', key) == 1 then
    redis.call('ZADD', key, 0, ARGV[2])
    redis.call('ZREMRANGEBYRANK', key, 1, -(tonumber(ARGV[3]) + 1))
  end
end
return count(KEYS[#KEYS], ARGV[4])";
/// Drops lists, before the key of the count: milliseconds that a change may take, the count as it is known.
const FORGET: &str = "
for i = 1, #KEYS - 1 do
  local key = KEYS[i]
  change(key, ARGV[1])
  redis.call('DEL', key)
end
return count(KEYS[#KEYS], ARGV[2])";
/// A change is over.
const SETTLED: &str = "
for _, key in ipairs(KEYS) do
  local busy = tonumber(redis.call('GET', key .. ':busy') or '0')
  if busy > 1 then redis.call('DECR', key .. ':busy') else redis.call('DEL', key .. ':busy') end
end";
/// A look: the key of the count, and the count as it is known.
const LOOK: &str = "return count(KEYS[1], ARGV[1])";
/// What changes a list has seen, unless it is here or is being changed.
const BEGIN: &str = "
if redis.call('EXISTS', KEYS[1], KEYS[1] .. ':busy') > 0 then return nil end
return redis.call('GET', KEYS[1] .. ':seen') or ''";
/// Puts a list here: milliseconds for which it is kept, what changes it had seen, then its ids.
const FILL: &str = "
if redis.call('EXISTS', KEYS[1], KEYS[1] .. ':busy') > 0 then return 0 end
if (redis.call('GET', KEYS[1] .. ':seen') or '') ~= ARGV[2] then return 0 end
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], 0, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1";

pub(super) struct Redis {
    connection: ConnectionManager,
    /// From when on it is asked again.
    away_until: Mutex<Option<Instant>>,
    standing: Standing,
    /// Where it counts what this process told.
    own: String,
    push: Script,
    forget: Script,
    settled: Script,
    look: Script,
    begin: Script,
    fill: Script,
}

impl Redis {
    /// It connects when it is first asked.
    pub(super) fn open(url: &str) -> Result<Self, StorageError> {
        let wrong = |e: RedisError| StorageError::Config(format!("storage.bus: {e}"));
        let client = Client::open(url).map_err(wrong)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(CONNECT))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(wrong)?;
        let counted = |what: &str| Script::new(&[CHANGE, COUNT, what].concat());
        Ok(Self {
            connection,
            away_until: Mutex::new(None),
            standing: Standing::default(),
            own: key(&format!("told.{:016x}", rand::random::<u64>())),
            push: counted(PUSH),
            forget: counted(FORGET),
            settled: Script::new(SETTLED),
            look: counted(LOOK),
            begin: Script::new(BEGIN),
            fill: Script::new(FILL),
        })
    }

    /// Asks within a time. One that does not answer is left alone for a while.
    async fn ask<T>(
        &self,
        patience: Duration,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StorageError> {
        let away = *self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        if away.is_some_and(|until| Instant::now() < until) {
            return Err(StorageError::bus("it did not answer a moment ago"));
        }
        self.insist(patience, asked).await
    }

    /// The same, whether or not it was left alone.
    async fn insist<T>(
        &self,
        patience: Duration,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StorageError> {
        let begun = Instant::now();
        let answer = match timeout(patience, asked).await {
            Ok(answer) => answer.map_err(StorageError::bus),
            Err(_elapsed) => Err(StorageError::bus("no answer in time")),
        };
        if answer.is_err() {
            self.standing.failed();
        }
        let mut away = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.is_err() {
            *away = Some(Instant::now() + PAUSE);
        } else if begun.elapsed() < PATIENCE.0 {
            // One that is slower than readers wait for is left alone still.
            *away = None;
        }
        drop(away);
        answer
    }

    /// Tells some lists by a script that counts it.
    async fn told(&self, call: &mut ScriptInvocation<'_>, lists: &[String]) -> Result<(), StorageError> {
        let (asked, mut connection) = (self.standing.asked(), self.connection.clone());
        call.arg(asked.count);
        lists.iter().for_each(|list| _ = call.key(key(list)));
        call.key(self.own.as_str());
        let count: i64 = self.ask(PATIENCE.1, call.invoke_async(&mut connection)).await?;
        if self.standing.counted(asked, count) {
            return Ok(());
        }
        Err(StorageError::bus("it has an older state of itself"))
    }
}

fn key(list: &str) -> String {
    format!("sluice.list.{list}")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait::async_trait]
impl Engine for Redis {
    fn is_there(&self) -> bool {
        true
    }

    async fn newest(&self, list: &str, below: u64, count: usize) -> Result<Option<Newest>, StorageError> {
        let mut command = redis::cmd("ZREVRANGEBYLEX");
        command.arg(key(list)).arg(format!("({}", encode(below))).arg("-").arg("LIMIT").arg(0).arg(count);
        let mut connection = self.connection.clone();
        let found: Vec<String> = self.ask(PATIENCE.0, command.query_async(&mut connection)).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let strange = |_| StorageError::bus("the list has something that is no id");
        let ids: Vec<u64> =
            found.iter().map(|text| decode(text)).collect::<Result<_, _>>().map_err(strange)?;
        // Asked last: whatever has failed meanwhile is known by now.
        if !self.standing.is_believed() {
            return Ok(None);
        }
        let whole = ids.last() == Some(&0);
        Ok(Some(Newest { ids: ids.into_iter().filter(|id| *id > 0).collect(), whole }))
    }

    async fn push(&self, lists: &[String], id: u64, most: u64) -> Result<(), StorageError> {
        let mut call = self.push.arg(milliseconds(BARRED));
        call.arg(encode(id)).arg(most);
        self.told(&mut call, lists).await
    }

    async fn forget(&self, lists: &[String]) -> Result<(), StorageError> {
        self.told(&mut self.forget.arg(milliseconds(BARRED)), lists).await
    }

    async fn settled(&self, lists: &[String]) -> Result<(), StorageError> {
        let mut call = self.settled.prepare_invoke();
        lists.iter().for_each(|list| _ = call.key(key(list)));
        let mut connection = self.connection.clone();
        self.ask(PATIENCE.1, call.invoke_async(&mut connection)).await
    }

    async fn went_back(&self) -> Result<bool, StorageError> {
        let (asked, mut connection) = (self.standing.asked(), self.connection.clone());
        let mut call = self.look.key(self.own.as_str());
        call.arg(asked.count);
        let count: i64 = self.insist(PATIENCE.1, call.invoke_async(&mut connection)).await?;
        Ok(!self.standing.looked(asked, count))
    }

    async fn begin(&self, list: &str) -> Result<Option<String>, StorageError> {
        let call = self.begin.key(key(list));
        let mut connection = self.connection.clone();
        self.ask(PATIENCE.1, call.invoke_async(&mut connection)).await
    }

    async fn fill(&self, list: &str, seen: &str, ids: &[u64]) -> Result<bool, StorageError> {
        let mut call = self.fill.key(key(list));
        call.arg(milliseconds(KEPT)).arg(seen).arg(encode(0));
        ids.iter().for_each(|id| _ = call.arg(encode(*id)));
        let mut connection = self.connection.clone();
        let filled: i64 = self.ask(PATIENCE.1, call.invoke_async(&mut connection)).await?;
        Ok(filled == 1)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}
