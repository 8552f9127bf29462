"""What SQL of a content folder may call, by name.

New functions of a newer DuckDB stay out until they are read and added.
"""

from __future__ import annotations

TABLE_FUNCTIONS = frozenset("generate_series json_each json_tree range unnest".split())

FUNCTIONS = frozenset(
    """
    abs ceil ceiling even exp floor fmod gcd greatest lcm least ln log log10 log2 mod nextafter pow
    power round round_even sign sqrt cbrt trunc pi isfinite isinf isnan fdiv divide bit_count xor
    add subtract multiply factorial degrees radians sin cos tan asin acos atan atan2

    any_value arbitrary arg_max arg_max_null arg_min arg_min_null argmax argmin array_agg avg mean
    bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop
    covar_samp entropy favg first fsum group_concat grouping histogram kurtosis kurtosis_pop last
    list listagg mad max max_by median min min_by mode product quantile quantile_cont quantile_disc
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem
    skewness stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance geomean

    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    rank_dense row_number

    ascii bit_length char_length character_length chr concat concat_ws contains decode encode
    damerau_levenshtein ends_with format from_base64 from_hex base64 to_base64 hamming hex
    ilike_escape instr jaccard jaro_similarity jaro_winkler_similarity lcase left length len
    levenshtein like_escape lower lpad ltrim md5 mismatches nfc_normalize not_ilike_escape
    not_like_escape octet_length ord overlay position prefix printf repeat replace reverse right
    rpad rtrim sha1 sha256 split split_part starts_with str_split str_split_regex string_split
    string_split_regex string_to_array array_to_string strip_accents strlen strpos substr substring
    suffix to_hex translate trim ucase unhex unicode upper url_decode url_encode parse_dirname
    parse_filename parse_path bin unbin to_base regexp_escape regexp_extract regexp_extract_all
    regexp_full_match regexp_matches regexp_replace regexp_split_to_array
    normalise_command_line normalise_record cmdlets_run kusto_series

    century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day
    dayname dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us
    hour isodow isoyear last_day make_date make_time make_timestamp make_timestamp_ms
    make_timestamptz microsecond millisecond minute month monthname quarter second strftime strptime
    time_bucket timezone to_days to_hours to_microseconds to_milliseconds to_minutes to_months
    to_quarters to_seconds to_timestamp to_weeks to_years try_strptime week weekday weekofyear year
    yearweek normalized_interval

    array_append array_cat array_concat array_contains array_distinct array_extract array_filter
    array_has array_has_all array_has_any array_indexof array_intersect array_length array_pop_back
    array_pop_front array_position array_prepend array_reverse array_slice array_sort
    array_transform array_unique array_value array_zip cardinality element_at filter flatten
    generate_series generate_subscripts len list_aggregate list_any_value list_append list_apply
    list_avg list_bool_and list_bool_or list_cat list_concat list_contains list_count list_distinct
    list_element list_extract list_filter list_first list_has list_has_all list_has_any list_indexof
    list_intersect list_last list_max list_median list_min list_mode list_pack list_position
    list_prepend list_product list_reduce list_reverse list_reverse_sort list_select list_slice
    list_sort list_string_agg list_sum list_transform list_unique list_value list_where list_zip map
    map_concat map_contains map_entries map_extract map_extract_value map_from_entries map_keys
    map_values range row struct_concat struct_contains struct_extract struct_extract_at
    struct_insert struct_keys struct_pack struct_position struct_update struct_values unnest
    union_extract union_tag union_value

    array_to_json from_json from_json_strict json json_array json_array_length json_contains
    json_exists json_extract json_extract_path json_extract_path_text json_extract_string
    json_group_array json_group_object json_keys json_merge_patch json_object json_quote
    json_structure json_transform json_transform_strict json_type json_valid json_value row_to_json
    to_json

    alias constant_or_null enum_code enum_first enum_last enum_range if nullif try typeof
    """.split()
)
CLOCK = frozenset(
    """
    age ago current_date current_localtime current_localtimestamp current_time current_timestamp
    get_current_time get_current_timestamp localtime localtimestamp now pg_conf_load_time
    pg_postmaster_start_time today transaction_timestamp uuidv7
    """.split()
)
RANDOM = frozenset(
    "approx_quantile approx_top_k gen_random_uuid random reservoir_quantile setseed uuid"
    " uuidv4".split()
)
# Words that DuckDB turns into a call where no column has the name.
BARE = frozenset(
    """
    current_catalog current_date current_role current_schema current_time current_timestamp
    localtime localtimestamp
    """.split()
)
