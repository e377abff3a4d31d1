//! A small database of countries in MaxMind's format (MaxMind DB 2.0, IPv4, records of 24 bits).

/// Writes a database: networks (address, bits) and the country of each. Networks do not overlap.
#[must_use]
pub fn countries(networks: &[([u8; 4], u8, &str)]) -> Vec<u8> {
    let mut data = vec![];
    let mut tree = Tree { nodes: vec![[Record::Nothing; 2]] };
    for (address, bits, country) in networks {
        tree.insert(u32::from_be_bytes(*address), *bits, data.len());
        map(&mut data, 1);
        text(&mut data, "country");
        map(&mut data, 1);
        text(&mut data, "iso_code");
        text(&mut data, country);
    }
    let count = tree.nodes.len();
    let mut file = vec![];
    for record in tree.nodes.iter().flatten() {
        let value = match record {
            Record::Nothing => count,
            Record::Node(at) => *at,
            Record::Data(offset) => count + SEPARATOR + offset,
        };
        file.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; SEPARATOR]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut file, u32::try_from(count).unwrap());
    file
}

/// Zero bytes between tree and data.
const SEPARATOR: usize = 16;

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

struct Tree {
    nodes: Vec<[Record; 2]>,
}

impl Tree {
    fn insert(&mut self, address: u32, bits: u8, offset: usize) {
        let mut at = 0;
        for bit in 0..bits {
            let side = (address >> (31 - bit)) as usize & 1;
            if bit + 1 == bits {
                self.nodes[at][side] = Record::Data(offset);
                return;
            }
            at = match self.nodes[at][side] {
                Record::Node(next) => next,
                Record::Nothing | Record::Data(_) => {
                    self.nodes.push([Record::Nothing; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[at][side] = Record::Node(next);
                    next
                }
            };
        }
    }
}

fn map(out: &mut Vec<u8>, pairs: u8) {
    out.push(7 << 5 | pairs);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(2 << 5 | u8::try_from(text.len()).unwrap());
    out.extend_from_slice(text.as_bytes());
}

/// An unsigned number of 16 bits.
fn short(out: &mut Vec<u8>, number: u16) {
    out.push(5 << 5 | 2);
    out.extend_from_slice(&number.to_be_bytes());
}

fn metadata(out: &mut Vec<u8>, nodes: u32) {
    map(out, 9);
    text(out, "node_count");
    out.push(6 << 5 | 4);
    out.extend_from_slice(&nodes.to_be_bytes());
    for (name, number) in [
        ("record_size", 24),
        ("ip_version", 4),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        text(out, name);
        short(out, number);
    }
    text(out, "database_type");
    text(out, "Stories-Country");
    text(out, "languages");
    out.extend_from_slice(&[0, 4]);
    text(out, "description");
    map(out, 0);
    text(out, "build_epoch");
    out.extend_from_slice(&[8, 2]);
    out.extend_from_slice(&1_800_000_000u64.to_be_bytes());
}
