//! OCB's quirks and its stand-in's: `sources/deposit.md` §2 and §8a.

use providers::{AsOf, Channel, Quote};
use rust_decimal::dec;

use crate::support::{Case, case, fixture, keys, rate, refused, row};

fn widget() -> Case {
    case("ocb.deposit", "widget")
}

fn table() -> Case {
    case("ocb.deposit", "table")
}

#[test]
fn ocb_widget_labels_may_be_untranslated_keys() {
    let sheet = widget().sheet(&fixture("ocb/deposit.widget.2026-09-12.html"));
    assert_eq!(
        keys(&sheet),
        ["counter.P1M", "counter.P6M", "counter.P12M", "online.P1M", "online.P6M", "online.P12M"]
    );
    assert_eq!((rate(&sheet, "counter.P12M"), rate(&sheet, "online.P12M")), (dec!(6.7), dec!(6.8)));
    assert_eq!(sheet.as_of, AsOf::Unstated);
}

#[test]
fn ocb_widget_labels_may_be_vietnamese_and_columns_in_any_order() {
    let sheet = widget().sheet(&fixture("ocb/deposit.widget-vietnamese.2026-10-01.html"));
    assert_eq!(sheet.quotes.len(), 6);
    assert_eq!((rate(&sheet, "counter.P1M"), rate(&sheet, "counter.P12M")), (dec!(4.75), dec!(6.70)));
    assert_eq!((rate(&sheet, "online.P6M"), rate(&sheet, "online.P12M")), (dec!(6.50), dec!(6.80)));
}

#[test]
fn ocb_table_is_chosen_by_its_heading_and_never_by_position() {
    let text = String::from_utf8(fixture("ocb/deposit.widget.2026-09-12.html")).unwrap();
    let (head, rest) = text.split_once("<table>").unwrap();
    let (one, rest) = rest.split_once("<table>").unwrap();
    let swapped = format!("{head}<table>{rest}<table>{one}");
    assert_eq!(widget().sheet(swapped.as_bytes()), widget().sheet(text.as_bytes()));
}

#[test]
fn ocb_deposits_other_than_savings_are_not_published() {
    let sheet = widget().sheet(&fixture("ocb/deposit.widget-vietnamese.2026-10-01.html"));
    assert!(
        sheet.quotes.iter().all(|quote| matches!(quote, Quote::Deposit(d) if d.rate_percent != dec!(9.99)))
    );
}

#[test]
fn ocb_widget_may_rename_the_heading_of_its_products_but_not_all_products() {
    let text = String::from_utf8(fixture("ocb/deposit.widget.2026-09-12.html")).unwrap();
    let wanted = widget().sheet(text.as_bytes());
    for heading in ["", "Hình thức gửi", "&nbsp;"] {
        assert_eq!(widget().sheet(text.replace("SAVING_TYPE", heading).as_bytes()), wanted, "{heading}");
    }
    let renamed = text.replace("PERIOD", "A").replace("NORMALLY", "B").replace("Online", "C");
    assert_eq!(widget().error(renamed.as_bytes()).code(), "schema_drift");
    let twice = text.replace("SHORT_6_MONTH", "SHORT_1_MONTH");
    assert_eq!(widget().error(twice.as_bytes()).code(), "schema_drift");
}

#[test]
fn ocb_first_table_that_fits_is_read_and_later_ones_are_for_other_money_or_customers() {
    let text = String::from_utf8(fixture("ocb/deposit.widget.2026-09-12.html")).unwrap();
    let later = "<h3>USD</h3><table><tr><td>SAVING_TYPE<td>SHORT_3_MONTH</tr><tr><td>NORMALLY<td>0.3</tr></table></body>";
    assert_eq!(widget().sheet(text.replace("</body>", later).as_bytes()), widget().sheet(text.as_bytes()));
}

#[test]
fn ocb_rows_of_another_width_than_their_heading_are_refused_and_never_shifted() {
    let head = "<table><tr><td>SAVING_TYPE<td>SHORT_1_MONTH<td>SHORT_6_MONTH<td>SHORT_12_MONTH</tr>";
    let online = "<tr><td>Online<td>4.75<td>6.5<td>6.8</tr></table>";
    for row in [
        "<td>NORMALLY<td>6.4<td>6.7",
        "<td>NORMALLY<td><td>4.75<td>6.4<td>6.7",
        "<td colspan=2>NORMALLY<td>4.75<td>6.4<td>6.7",
    ] {
        let sheet = widget().sheet(format!("{head}<tr>{row}</tr>{online}").as_bytes());
        assert_eq!(keys(&sheet), ["online.P1M", "online.P6M", "online.P12M"], "{row}");
        assert!(refused(&sheet).first().unwrap().contains("under 4 headings"), "{row}");
    }
    let page = "<table><tr><th>Kỳ hạn<th>Tiền gửi có kỳ hạn<th>Tiết kiệm thông thường<th>Tiết kiệm Online</tr>\
        <tr><td>1 tháng<td>4.75<td>4.8</tr><tr><td>6 tháng<td>6.4<td>6.4<td>6.5</tr></table>";
    assert_eq!(keys(&table().sheet(page.as_bytes())), ["counter.P6M", "online.P6M"]);
}

#[test]
fn ocb_full_table_has_its_terms_in_rows_and_its_products_in_columns() {
    let sheet = table().sheet(&fixture("ocb/deposit.table.2026-08-11.html"));
    assert_eq!(sheet.quotes.len(), 22);
    for (term, counter, online) in
        [("P1M", dec!(4.75), dec!(4.75)), ("P13M", dec!(6.4), dec!(6.5)), ("P36M", dec!(7.0), dec!(7.1))]
    {
        assert_eq!(rate(&sheet, &format!("counter.{term}")), counter);
        assert_eq!(rate(&sheet, &format!("online.{term}")), online);
    }
}

#[test]
fn f27_ocb_full_table_may_permute_its_columns() {
    let sheet = table().sheet(&fixture("ocb/deposit.table.2026-08-11.html"));
    let other = table().sheet(&fixture("ocb/deposit.table-reordered.2026-08-11.html"));
    for key in keys(&sheet) {
        assert_eq!(rate(&sheet, &key), rate(&other, &key), "{key}");
    }
}

#[test]
fn ocb_tables_of_loans_are_skipped_and_unknown_headings_are_schema_drift() {
    let error = table().error(&fixture("ocb/deposit.table-unknown.2026-08-11.html"));
    assert_eq!(error.code(), "schema_drift");
    assert!(error.to_string().contains("Thời gian gửi | Lãi cuối kỳ"), "{error}");
    assert_eq!(table().error(&fixture("ocb/deposit.widget.2026-09-12.html")).code(), "schema_drift");
    assert_eq!(widget().error(&fixture("ocb/deposit.table.2026-08-11.html")).code(), "schema_drift");
}

#[test]
fn ocb_spans_and_nested_tables_do_not_shift_columns() {
    let sheet = table().sheet(&fixture("ocb/deposit.table-span.2026-08-11.html"));
    assert_eq!((rate(&sheet, "counter.P1M"), rate(&sheet, "online.P1M")), (dec!(4.75), dec!(4.75)));
    assert_eq!((rate(&sheet, "counter.P6M"), rate(&sheet, "online.P6M")), (dec!(6.4), dec!(6.5)));
}

#[test]
fn ocb_cell_that_is_no_rate_and_row_that_is_no_term_are_refused() {
    let sheet = table().sheet(&fixture("ocb/deposit.table-span.2026-08-11.html"));
    assert_eq!(rate(&sheet, "online.P12M"), dec!(6.8));
    assert!(!keys(&sheet).contains(&"counter.P12M".to_owned()));
    let refused = refused(&sheet);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].contains("25,680") && refused[1].contains("Ưu đãi"), "{refused:?}");
}

#[test]
fn ocb_soft_404_with_status_200_is_a_failure() {
    for source in [widget(), table()] {
        let error = source.error(&fixture("ocb/deposit.soft-404.2026-09-12.html"));
        assert_eq!(error.code(), "soft_404");
        assert!(error.to_string().contains("404 - Không tìm thấy trang | OCB"), "{error}");
    }
}

#[test]
fn ocb_page_in_decomposed_letters_or_with_a_byte_order_mark_is_the_same_page() {
    let text = String::from_utf8(fixture("ocb/deposit.table.2026-08-11.html")).unwrap();
    let wanted = table().sheet(text.as_bytes());
    let decomposed = text.replace("Tiết", "Tie\u{302}\u{301}t").replace("Kỳ", "Ky\u{300}");
    assert_ne!(decomposed, text);
    assert_eq!(table().sheet(decomposed.as_bytes()), wanted);
    assert_eq!(table().sheet(format!("\u{feff}{text}").as_bytes()), wanted);
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(table().sheet(&wide), wanted);
}

#[test]
fn f08_ocb_page_cut_inside_the_table_gives_nothing() {
    let page = fixture("ocb/deposit.widget.2026-09-12.html");
    let end = String::from_utf8_lossy(&page).find("</table>").unwrap();
    assert!(widget().parse(page.get(..end).unwrap()).is_err());
}

fn cafef() -> Case {
    let mut case = case("ocb.deposit", "cafef");
    case.last_modified = Some("2026-07-16".parse().unwrap());
    case
}

#[test]
fn cafef_row_of_ocb_has_no_channel_and_last_modified_is_its_as_of() {
    let sheet = cafef().sheet(&fixture("ocb/deposit.cafef.2026-07-16.json"));
    assert_eq!(
        keys(&sheet),
        [
            "unknown.demand",
            "unknown.P1M",
            "unknown.P3M",
            "unknown.P6M",
            "unknown.P9M",
            "unknown.P12M",
            "unknown.P18M",
            "unknown.P24M"
        ]
    );
    assert_eq!(rate(&sheet, "unknown.P18M"), dec!(6.6));
    assert_eq!(sheet.as_of, AsOf::On("2026-07-16".parse().unwrap()));
    assert_eq!(
        case("ocb.deposit", "cafef").sheet(&fixture("ocb/deposit.cafef.2026-07-16.json")).as_of,
        AsOf::Unstated
    );
    let Quote::Deposit(year) = row(&sheet, "unknown.P12M") else { panic!() };
    assert_eq!(year.channel, None::<Channel>);
}

#[test]
fn cafef_bank_is_known_by_symbol_and_name_and_null_and_zero_are_absent() {
    let sheet = cafef().sheet(&fixture("ocb/deposit.cafef-quirks.2026-07-16.json"));
    assert_eq!(keys(&sheet), ["unknown.P1M", "unknown.P6M", "unknown.P12M", "unknown.P18M", "unknown.P24M"]);
    assert_eq!((rate(&sheet, "unknown.P6M"), rate(&sheet, "unknown.P18M")), (dec!(6.4), dec!(6.6)));
}

#[test]
fn cafef_rows_whose_time_and_deposit_disagree_are_refused() {
    let sheet = cafef().sheet(&fixture("ocb/deposit.cafef-quirks.2026-07-16.json"));
    let refused = refused(&sheet);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].contains("\"deposit\" says 3"), "{refused:?}");
}

#[test]
fn cafef_without_ocb_has_no_data() {
    assert_eq!(cafef().error(&fixture("ocb/deposit.cafef-without.2026-07-16.json")).code(), "no_data");
}
