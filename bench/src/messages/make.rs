//! Messages of a few common words and many rare ones, in conversations of which the first are large; and what is asked.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sluice_storage::Storage;
use sluice_wire::AccountId;

use crate::engines::write;
use crate::fleet::Account;
use crate::pages::{WORDS, common, word, words};

/// Messages of one transaction.
const BATCH: usize = 1_000;
/// Conversations, and those of them that who asks is in: the first ones.
const CHATS: usize = 200;
pub(super) const JOINED: usize = 160;
/// Who says it all.
const AUTHORS: usize = 40;

/// What was said, as far as questions are about it.
#[derive(Debug)]
pub(super) struct Said {
    /// A large conversation, and one of middle size.
    large: String,
    middle: String,
    /// When half of it was said, in Unix milliseconds.
    half_ms: u64,
}

/// Rows of each table, as SQL has them.
#[derive(Debug, Default)]
struct Rows {
    messages: Vec<String>,
    terms: Vec<String>,
}

impl Rows {
    fn message(&mut self, chat: i64, seq: usize, id: i64, random: &mut StdRng) {
        let author = random.random_range(0..AUTHORS);
        let many = random.random_range(3..15);
        let said = words(random, many);
        let text = said.join(" ");
        self.messages.push(format!(
            "({chat}, {seq}, {id}, {author}, 1, 'u{author}', 'c{seq}', '{text}', '[]', NULL, NULL)"
        ));
        let terms: BTreeSet<String> = said.into_iter().chain([format!("@u{author}")]).collect();
        self.terms.extend(terms.into_iter().map(|term| format!("({chat}, '{term}', {id})")));
    }

    fn sql(&self) -> String {
        let columns =
            "chat, seq, id, author, at_ms, name, client_id, text, attachments, edited_ms, deleted_ms";
        let (messages, terms) = (self.messages.join(", "), self.terms.join(", "));
        format!(
            "INSERT INTO chat_messages ({columns}) VALUES {messages};\n\
             INSERT INTO chat_terms (chat, term, message) VALUES {terms}"
        )
    }
}

/// Says so many messages; an account is in most of the conversations.
pub(super) async fn messages(storage: &Storage, many: usize, account: &Account) -> anyhow::Result<Said> {
    let account = account.id.parse::<AccountId>()?;
    let chats: Vec<AccountId> = (0..CHATS).map(|_| storage.ids.make()).collect();
    let mut sql = vec![];
    for (place, chat) in chats.iter().map(|chat| chat.as_i64()).enumerate() {
        sql.push(format!(
            "INSERT INTO chats (id, kind, name, made_by, created_ms, members, seq, message_seq, last_ms) \
             VALUES ({chat}, 'group', 'chat {place}', 1, 1, 1, 1, 1, 1)"
        ));
        if place < JOINED {
            sql.push(format!(
                "INSERT INTO chat_members \
                 (chat, account, name, role, since_seq, delivered_seq, read_seq, told_seq, told_ms) \
                 VALUES ({chat}, {}, 'ann', 'member', 0, 0, 0, 0, 0)",
                account.as_i64()
            ));
        }
    }
    write(storage, &sql.join(";\n")).await?;
    let (mut random, mut seqs, mut half_ms) = (StdRng::seed_from_u64(7), [0_usize; CHATS], 0);
    for from in (0..many).step_by(BATCH) {
        let mut rows = Rows::default();
        for _ in from..many.min(from + BATCH) {
            let place = common(&mut random, CHATS);
            let id: AccountId = storage.ids.make();
            seqs[place] += 1;
            rows.message(chats[place].as_i64(), seqs[place], id.as_i64(), &mut random);
            if from <= many / 2 {
                half_ms = id.unix_ms();
            }
        }
        write(storage, &rows.sql()).await?;
    }
    Ok(Said { large: chats[1].to_string(), middle: chats[60].to_string(), half_ms })
}

impl Said {
    /// What is asked, and what it is called.
    pub(super) fn questions(&self) -> Vec<(&'static str, String)> {
        let [first, second, some, seldom, rare] = [1, 2, 60, 700, WORDS - 7].map(word);
        vec![
            ("a word that every other message has", first.clone()),
            ("a word", some.clone()),
            ("a rare word", rare.clone()),
            ("two common words", format!("{first} {second}")),
            ("two words", format!("{some} {seldom}")),
            ("two rare words", format!("{rare} {seldom}")),
            ("eight words", [1, 2, 3, 4, 5, 6, 7, 8].map(word).join(" ")),
            ("a word, by somebody", format!("{some} from:u7")),
            ("a common word, in the large conversation", format!("{first} in:{}", self.large)),
            (
                "a word, in another, before half of all",
                format!("{some} in:{} before:{}", self.middle, self.half_ms),
            ),
            ("a rare word, before half of all", format!("{rare} before:{}", self.half_ms)),
            ("a word, by nobody", format!("{first} from:nobody")),
            ("no such word", "nowhere".into()),
        ]
    }
}
