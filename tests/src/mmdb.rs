//! Small databases in MaxMind's format (MaxMind DB 2.0, IPv4, records of 24 bits): of countries, of cities, of networks.

/// A network's address and how many bits of it count. Networks of one database do not overlap.
type Network = ([u8; 4], u8);

/// A database of countries.
#[must_use]
pub fn countries(networks: &[([u8; 4], u8, &str)]) -> Vec<u8> {
    let of = |(address, bits, country): &([u8; 4], u8, &str)| ((*address, *bits), with_country(1, country));
    database("Stories-Country", networks.iter().map(of).collect())
}

/// A database of cities: each a country, a latitude and a longitude.
#[must_use]
pub fn cities(networks: &[(Network, &str, f64, f64)]) -> Vec<u8> {
    let of = |(network, country, latitude, longitude): &(Network, &str, f64, f64)| {
        let mut data = with_country(2, country);
        text(&mut data, "location");
        map(&mut data, 2);
        for (name, number) in [("latitude", latitude), ("longitude", longitude)] {
            text(&mut data, name);
            data.push(3 << 5 | 8);
            data.extend_from_slice(&number.to_be_bytes());
        }
        (*network, data)
    };
    database("Stories-City", networks.iter().map(of).collect())
}

/// A database of networks: each its number.
#[must_use]
pub fn networks(networks: &[(Network, u32)]) -> Vec<u8> {
    let of = |(network, number): &(Network, u32)| {
        let mut data = vec![];
        map(&mut data, 1);
        text(&mut data, "autonomous_system_number");
        long(&mut data, *number);
        (*network, data)
    };
    database("Stories-ASN", networks.iter().map(of).collect())
}

fn with_country(pairs: u8, country: &str) -> Vec<u8> {
    let mut data = vec![];
    map(&mut data, pairs);
    text(&mut data, "country");
    map(&mut data, 1);
    text(&mut data, "iso_code");
    text(&mut data, country);
    data
}

fn database(kind: &str, records: Vec<(Network, Vec<u8>)>) -> Vec<u8> {
    let mut data = vec![];
    let mut tree = Tree { nodes: vec![[Record::Nothing; 2]] };
    for ((address, bits), record) in records {
        tree.insert(u32::from_be_bytes(address), bits, data.len());
        data.extend_from_slice(&record);
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
    metadata(&mut file, kind, u32::try_from(count).unwrap());
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

/// An unsigned number of 32 bits.
fn long(out: &mut Vec<u8>, number: u32) {
    out.push(6 << 5 | 4);
    out.extend_from_slice(&number.to_be_bytes());
}

/// An unsigned number of 16 bits.
fn short(out: &mut Vec<u8>, number: u16) {
    out.push(5 << 5 | 2);
    out.extend_from_slice(&number.to_be_bytes());
}

fn metadata(out: &mut Vec<u8>, kind: &str, nodes: u32) {
    map(out, 9);
    text(out, "node_count");
    long(out, nodes);
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
    text(out, kind);
    text(out, "languages");
    out.extend_from_slice(&[0, 4]);
    text(out, "description");
    map(out, 0);
    text(out, "build_epoch");
    out.extend_from_slice(&[8, 2]);
    out.extend_from_slice(&1_800_000_000u64.to_be_bytes());
}
