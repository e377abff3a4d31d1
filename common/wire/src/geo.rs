//! Where on earth something is: countries, positions, and how far apart two of them are.

use serde::{Deserialize, Serialize};

/// Mean radius of the earth in kilometres (IUGG).
const EARTH_KM: f64 = 6_371.0;

/// A place on earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north of the equator, from -90 to 90.
    pub latitude: f64,
    /// Degrees east of Greenwich, from -180 to 180.
    pub longitude: f64,
}

impl Position {
    /// True for finite numbers within their bounds.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.latitude.abs() <= 90.0 && self.longitude.abs() <= 180.0
    }

    /// The point on a sphere of radius 1: distances are then one product and one arc cosine.
    #[must_use]
    pub(crate) fn point(&self) -> Point {
        let (latitude, longitude) = (self.latitude.to_radians(), self.longitude.to_radians());
        Point([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()])
    }

    /// Kilometres along the great circle.
    #[must_use]
    pub fn km_to(&self, other: &Self) -> f64 {
        self.point().km_to(&other.point())
    }
}

/// A country's code: two capital letters (ISO 3166-1 alpha-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// Reads a code; `None` for anything but two capital letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for Country {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("two capital letters, not {text:.20}"))
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().into()
    }
}

/// A position, made ready for many comparisons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point([f64; 3]);

impl Point {
    pub(crate) fn km_to(&self, other: &Self) -> f64 {
        let product: f64 = self.0.iter().zip(other.0).map(|(a, b)| a * b).sum();
        EARTH_KM * product.clamp(-1.0, 1.0).acos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_country_has_two_capital_letters() {
        assert_eq!(Country::parse("DE").unwrap().as_str(), "DE");
        assert!(["de", "DEU", "", "D"].iter().all(|code| Country::parse(code).is_none()));
    }

    #[test]
    fn known_distances() {
        let berlin = Position { latitude: 52.52, longitude: 13.405 };
        let tokyo = Position { latitude: 35.68, longitude: 139.69 };
        assert!((berlin.km_to(&tokyo) - 8_918.0).abs() < 20.0, "{}", berlin.km_to(&tokyo));
        assert!(!Position { latitude: f64::NAN, longitude: 0.0 }.is_real());
        assert!(!Position { latitude: 91.0, longitude: 0.0 }.is_real());
    }

    proptest! {
        #[test]
        fn a_distance_is_the_same_both_ways_and_at_most_half_around(
            a in (-90.0f64..90.0, -180.0f64..180.0), b in (-90.0f64..90.0, -180.0f64..180.0),
        ) {
            let [a, b] = [a, b].map(|(latitude, longitude)| Position { latitude, longitude });
            let km = a.km_to(&b);
            prop_assert!((0.0..=EARTH_KM * std::f64::consts::PI + 1e-6).contains(&km));
            prop_assert!((km - b.km_to(&a)).abs() < 1e-6);
        }
    }
}
