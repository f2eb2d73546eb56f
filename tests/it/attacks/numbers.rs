//! Numbers at the limits of their types. Changes and conversions have theirs beside the code (`a28_` in `src/`).

use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use providers::{WeightUnit, convert_weight};
use rust_decimal::Decimal;

/// Any decimal that there is, its limits often.
fn decimals() -> impl Strategy<Value = Decimal> {
    (any::<i128>(), 0..=28_u32, 0..6_u8).prop_map(|(digits, scale, limit)| match limit {
        0 => Decimal::MAX,
        1 => Decimal::MIN,
        2 => Decimal::new(1, 28),
        _ => Decimal::from_i128_with_scale(digits >> 32, scale),
    })
}

fn exact(number: Decimal) -> BigRational {
    BigRational::new(BigInt::from(number.mantissa()), BigInt::from(10).pow(number.scale()))
}

proptest! {
    #[test]
    fn a28_a_weight_converts_exactly_or_not_at_all(price in decimals(), from in 0..5_usize, to in 0..5_usize, dong in any::<bool>()) {
        let (from, to) = (WeightUnit::ALL[from], WeightUnit::ALL[to]);
        let (currency, places) = if dong { ("VND", 0) } else { ("USD", 2) };
        let Some(converted) = convert_weight(price, from, to, currency) else {
            // Only beyond what a decimal holds on the way.
            prop_assert!(price.abs() > Decimal::MAX / Decimal::from(to.tenth_micrograms()));
            return Ok(());
        };
        let weight = |unit: WeightUnit| BigRational::from_integer(BigInt::from(unit.tenth_micrograms()));
        let wanted = exact(price) * weight(to) / weight(from);
        let off = exact(converted) - wanted;
        let half = BigRational::new(BigInt::from(1), BigInt::from(2) * BigInt::from(10).pow(places));
        // A decimal has 28 digits: what the rounding before the last one may add.
        let last = exact(Decimal::new(1, 25)) * (BigRational::from_integer(BigInt::from(1)) + exact(converted.abs()));
        prop_assert!(off <= half.clone() + last.clone() && off >= -(half + last), "{price} {from:?} {to:?}: {converted}");
        prop_assert_eq!(converted.is_sign_negative() && !converted.is_zero(), price.is_sign_negative() && !converted.is_zero());
    }
}
