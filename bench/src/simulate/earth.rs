//! Where viewers and sites are: sixty cities, roughly by how many watch there.

/// A city.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// Its viewers, relative to the others, when all watch alike.
    pub(super) weight: f64,
    pub(super) region: Region,
}

/// A part of the world, in which a gigabyte costs about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Region {
    Europe,
    NorthAmerica,
    SouthAmerica,
    EastAsia,
    SouthAsia,
    Africa,
    Oceania,
}

impl Region {
    /// Money for a gigabyte: the order of magnitude of transit there.
    pub(super) const fn price(self) -> f64 {
        match self {
            Self::Europe | Self::NorthAmerica => 0.004,
            Self::EastAsia => 0.010,
            Self::SouthAsia | Self::SouthAmerica => 0.014,
            Self::Africa | Self::Oceania => 0.018,
        }
    }
}

const fn at(name: &'static str, latitude: f64, longitude: f64, weight: f64, region: Region) -> Place {
    Place { name, latitude, longitude, weight, region }
}

use Region::{Africa, EastAsia, Europe, NorthAmerica, Oceania, SouthAmerica, SouthAsia};

/// The first ones are in all parts of the world, so that a small world is one too.
pub(super) const PLACES: [Place; 60] = [
    at("fra", 50.1, 8.7, 3.0, Europe),
    at("nyc", 40.7, -74.0, 3.5, NorthAmerica),
    at("tyo", 35.7, 139.7, 3.0, EastAsia),
    at("sao", -23.5, -46.6, 2.5, SouthAmerica),
    at("bom", 19.1, 72.9, 3.0, SouthAsia),
    at("ams", 52.4, 4.9, 1.5, Europe),
    at("chi", 41.9, -87.6, 2.0, NorthAmerica),
    at("jnb", -26.2, 28.0, 1.2, Africa),
    at("syd", -33.9, 151.2, 1.2, Oceania),
    at("lon", 51.5, -0.1, 3.0, Europe),
    at("lax", 34.1, -118.2, 3.0, NorthAmerica),
    at("sin", 1.3, 103.8, 1.5, EastAsia),
    at("par", 48.9, 2.4, 2.5, Europe),
    at("mad", 40.4, -3.7, 1.5, Europe),
    at("mil", 45.5, 9.2, 1.5, Europe),
    at("waw", 52.2, 21.0, 1.5, Europe),
    at("sto", 59.3, 18.1, 1.0, Europe),
    at("vie", 48.2, 16.4, 1.0, Europe),
    at("prg", 50.1, 14.4, 0.8, Europe),
    at("zrh", 47.4, 8.5, 0.8, Europe),
    at("bru", 50.8, 4.4, 0.8, Europe),
    at("dub", 53.3, -6.3, 0.6, Europe),
    at("osl", 59.9, 10.8, 0.5, Europe),
    at("hel", 60.2, 24.9, 0.5, Europe),
    at("ath", 38.0, 23.7, 0.7, Europe),
    at("buh", 44.4, 26.1, 0.8, Europe),
    at("ist", 41.0, 29.0, 1.8, Europe),
    at("lis", 38.7, -9.1, 0.6, Europe),
    at("bud", 47.5, 19.0, 0.7, Europe),
    at("ham", 53.6, 10.0, 1.0, Europe),
    at("was", 38.9, -77.0, 1.8, NorthAmerica),
    at("atl", 33.7, -84.4, 1.6, NorthAmerica),
    at("mia", 25.8, -80.2, 1.4, NorthAmerica),
    at("dal", 32.8, -96.8, 1.8, NorthAmerica),
    at("den", 39.7, -105.0, 0.9, NorthAmerica),
    at("sea", 47.6, -122.3, 1.1, NorthAmerica),
    at("sjc", 37.3, -121.9, 1.6, NorthAmerica),
    at("tor", 43.7, -79.4, 1.4, NorthAmerica),
    at("mex", 19.4, -99.1, 1.8, NorthAmerica),
    at("phx", 33.4, -112.1, 0.9, NorthAmerica),
    at("bue", -34.6, -58.4, 1.3, SouthAmerica),
    at("scl", -33.4, -70.7, 0.8, SouthAmerica),
    at("bog", 4.7, -74.1, 1.0, SouthAmerica),
    at("rio", -22.9, -43.2, 1.2, SouthAmerica),
    at("lim", -12.0, -77.0, 0.7, SouthAmerica),
    at("osa", 34.7, 135.5, 1.5, EastAsia),
    at("sel", 37.6, 127.0, 2.0, EastAsia),
    at("hkg", 22.3, 114.2, 1.4, EastAsia),
    at("tpe", 25.0, 121.6, 1.2, EastAsia),
    at("mnl", 14.6, 121.0, 1.4, EastAsia),
    at("bkk", 13.8, 100.5, 1.3, EastAsia),
    at("jkt", -6.2, 106.8, 1.8, EastAsia),
    at("del", 28.6, 77.2, 2.4, SouthAsia),
    at("maa", 13.1, 80.3, 1.5, SouthAsia),
    at("dxb", 25.2, 55.3, 1.0, SouthAsia),
    at("tlv", 32.1, 34.8, 0.6, SouthAsia),
    at("cai", 30.0, 31.2, 1.2, Africa),
    at("los", 6.5, 3.4, 1.2, Africa),
    at("mel", -37.8, 145.0, 1.0, Oceania),
    at("akl", -36.8, 174.8, 0.4, Oceania),
];
