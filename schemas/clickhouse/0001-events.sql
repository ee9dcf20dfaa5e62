CREATE TABLE IF NOT EXISTS `flows` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `start_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `end_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `action` LowCardinality(String),
  `reporter` LowCardinality(String),
  `proto` LowCardinality(String),
  `source_ip` Nullable(IPv6),
  `source_port` Nullable(UInt16),
  `source_name` LowCardinality(String),
  `source_name_aggr` LowCardinality(String),
  `source_namespace` LowCardinality(String),
  `source_type` LowCardinality(String),
  `source_labels` Array(LowCardinality(String)),
  `dest_ip` Nullable(IPv6),
  `dest_port` Nullable(UInt16),
  `dest_name` LowCardinality(String),
  `dest_name_aggr` LowCardinality(String),
  `dest_namespace` LowCardinality(String),
  `dest_type` LowCardinality(String),
  `dest_labels` Array(LowCardinality(String)),
  `dest_service_namespace` LowCardinality(String),
  `dest_service_name` LowCardinality(String),
  `dest_service_port` LowCardinality(String),
  `dest_service_port_num` UInt16,
  `dest_domains` Array(LowCardinality(String)),
  `enforced_policies` Array(LowCardinality(String)),
  `pending_policies` Array(LowCardinality(String)),
  `transit_policies` Array(LowCardinality(String)),
  `bytes_in` UInt64 CODEC(T64, ZSTD(1)),
  `bytes_out` UInt64 CODEC(T64, ZSTD(1)),
  `packets_in` UInt64 CODEC(T64, ZSTD(1)),
  `packets_out` UInt64 CODEC(T64, ZSTD(1)),
  `num_flows` UInt64 CODEC(T64, ZSTD(1)),
  `num_flows_started` UInt64 CODEC(T64, ZSTD(1)),
  `num_flows_completed` UInt64 CODEC(T64, ZSTD(1)),
  `process_name` LowCardinality(String),
  `process_id` LowCardinality(String),
  `process_args` Array(LowCardinality(String)),
  `num_process_names` UInt64 CODEC(T64, ZSTD(1)),
  `num_process_ids` UInt64 CODEC(T64, ZSTD(1)),
  `num_process_args` UInt64 CODEC(T64, ZSTD(1)),
  `nat_outgoing_ports` Array(UInt64),
  `original_source_ips` Array(IPv6),
  `num_original_source_ips` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_mean_send_congestion_window` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_min_send_congestion_window` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_mean_smooth_rtt` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_max_smooth_rtt` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_mean_min_rtt` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_max_min_rtt` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_mean_mss` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_min_mss` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_total_retransmissions` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_lost_packets` UInt64 CODEC(T64, ZSTD(1)),
  `tcp_unrecovered_to` UInt64 CODEC(T64, ZSTD(1)),
  `http_requests_allowed_in` UInt64 CODEC(T64, ZSTD(1)),
  `http_requests_denied_in` UInt64 CODEC(T64, ZSTD(1)),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`,
  INDEX `source_ip_index` `source_ip` TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX `dest_ip_index` `dest_ip` TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(`end_time`)
ORDER BY (cluster, toStartOfFiveMinutes(end_time), dest_namespace, dest_name_aggr, source_namespace, source_name_aggr, end_time)
TTL toDate(`end_time`) + INTERVAL 8 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `dns` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `start_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `end_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `type` LowCardinality(String),
  `count` UInt64 CODEC(T64, ZSTD(1)),
  `client_ip` Nullable(IPv6),
  `client_name` LowCardinality(String),
  `client_name_aggr` LowCardinality(String),
  `client_namespace` LowCardinality(String),
  `client_labels` Array(LowCardinality(String)),
  `qname` String,
  `qtype` LowCardinality(String),
  `qclass` LowCardinality(String),
  `rcode` LowCardinality(String),
  `rrsets` Array(Tuple(name String, type LowCardinality(String), class LowCardinality(String), rdata Array(LowCardinality(String)))),
  `servers` Array(Tuple(ip IPv6, name LowCardinality(String), name_aggr LowCardinality(String), namespace LowCardinality(String), labels Array(LowCardinality(String)))),
  `latency_count` UInt64 CODEC(T64, ZSTD(1)),
  `latency_mean` UInt64 CODEC(T64, ZSTD(1)),
  `latency_max` UInt64 CODEC(T64, ZSTD(1)),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`,
  INDEX `client_ip_index` `client_ip` TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX `qname_index` `qname` TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(`end_time`)
ORDER BY (cluster, toStartOfFiveMinutes(end_time), client_namespace, client_name_aggr, qname, rcode, end_time)
TTL toDate(`end_time`) + INTERVAL 8 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `l7` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `start_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `end_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `src_name_aggr` LowCardinality(String),
  `src_namespace` LowCardinality(String),
  `src_type` LowCardinality(String),
  `dest_name_aggr` LowCardinality(String),
  `dest_namespace` LowCardinality(String),
  `dest_type` LowCardinality(String),
  `dest_service_name` LowCardinality(String),
  `dest_service_namespace` LowCardinality(String),
  `dest_service_port` UInt16,
  `bytes_in` UInt64 CODEC(T64, ZSTD(1)),
  `bytes_out` UInt64 CODEC(T64, ZSTD(1)),
  `count` UInt64 CODEC(T64, ZSTD(1)),
  `duration_mean` UInt64 CODEC(T64, ZSTD(1)),
  `duration_max` UInt64 CODEC(T64, ZSTD(1)),
  `url` String,
  `method` LowCardinality(String),
  `response_code` LowCardinality(String),
  `user_agent` String,
  `type` LowCardinality(String),
  `protocol` LowCardinality(String),
  `protocol_version` LowCardinality(String),
  `collector_type` LowCardinality(String),
  `collector_name` LowCardinality(String),
  `tls_sni` LowCardinality(String),
  `tls_version` LowCardinality(String),
  `tls_cipher_suite` LowCardinality(String),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`,
  `source_name_aggr` LowCardinality(String) ALIAS `src_name_aggr`,
  `source_namespace` LowCardinality(String) ALIAS `src_namespace`,
  `source_type` LowCardinality(String) ALIAS `src_type`
) ENGINE = MergeTree
PARTITION BY toDate(`end_time`)
ORDER BY (cluster, toStartOfFiveMinutes(end_time), dest_namespace, dest_name_aggr, src_namespace, src_name_aggr, end_time)
TTL toDate(`end_time`) + INTERVAL 8 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `audit` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `name` LowCardinality(String),
  `apiVersion` LowCardinality(String),
  `kind` LowCardinality(String),
  `auditID` String,
  `level` LowCardinality(String),
  `stage` LowCardinality(String),
  `verb` LowCardinality(String),
  `requestURI` String,
  `userAgent` LowCardinality(String),
  `user_username` LowCardinality(String),
  `user_uid` LowCardinality(String),
  `user_groups` Array(LowCardinality(String)),
  `user_extra` Map(LowCardinality(String), Array(String)),
  `impersonatedUser_username` LowCardinality(String),
  `impersonatedUser_uid` LowCardinality(String),
  `impersonatedUser_groups` Array(LowCardinality(String)),
  `impersonatedUser_extra` Map(LowCardinality(String), Array(String)),
  `sourceIPs` Array(IPv6),
  `objectRef_resource` LowCardinality(String),
  `objectRef_namespace` LowCardinality(String),
  `objectRef_name` String,
  `objectRef_uid` String,
  `objectRef_apiGroup` LowCardinality(String),
  `objectRef_apiVersion` LowCardinality(String),
  `objectRef_resourceVersion` String,
  `objectRef_subresource` LowCardinality(String),
  `responseStatus_code` UInt16,
  `responseStatus_status` LowCardinality(String),
  `responseStatus_message` String,
  `responseStatus_reason` LowCardinality(String),
  `requestObject` String CODEC(ZSTD(3)),
  `responseObject` String CODEC(ZSTD(3)),
  `requestReceivedTimestamp` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `stageTimestamp` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `annotations` Map(LowCardinality(String), String),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`
) ENGINE = MergeTree
PARTITION BY toDate(`stageTimestamp`)
ORDER BY (cluster, toStartOfHour(stageTimestamp), objectRef_resource, objectRef_namespace, stageTimestamp)
TTL toDate(`stageTimestamp`) + INTERVAL 91 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `events` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `id` String,
  `time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `type` LowCardinality(String),
  `origin` LowCardinality(String),
  `name` LowCardinality(String),
  `description` String,
  `severity` UInt8,
  `start_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `end_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `source_ip` Nullable(IPv6),
  `source_port` Nullable(UInt16),
  `source_name` LowCardinality(String),
  `source_name_aggr` LowCardinality(String),
  `source_namespace` LowCardinality(String),
  `dest_ip` Nullable(IPv6),
  `dest_port` Nullable(UInt16),
  `dest_name` LowCardinality(String),
  `dest_name_aggr` LowCardinality(String),
  `dest_namespace` LowCardinality(String),
  `record` String CODEC(ZSTD(3)),
  `dismissed` Bool,
  `attack_vector` LowCardinality(String),
  `mitre_tactic` LowCardinality(String),
  `mitre_ids` Array(LowCardinality(String)),
  `mitigations` Array(LowCardinality(String)),
  `geo_info` String CODEC(ZSTD(3)),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`
) ENGINE = MergeTree
PARTITION BY toDate(`time`)
ORDER BY (cluster, toStartOfHour(time), origin, time, id)
TTL toDate(`time`) + INTERVAL 91 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `notifications` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `id` String,
  `time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `alert` LowCardinality(String),
  `group` String,
  `event_ids` Array(LowCardinality(String)) CODEC(ZSTD(1)),
  `receiver` LowCardinality(String),
  `channel` LowCardinality(String),
  `state` LowCardinality(String),
  `attempts` UInt64 CODEC(T64, ZSTD(1)),
  `error` String,
  `severity` UInt8,
  `subject` String,
  `body` String,
  `details` String CODEC(ZSTD(3)),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`
) ENGINE = MergeTree
PARTITION BY toDate(`time`)
ORDER BY (cluster, toStartOfHour(time), receiver, time, id)
TTL toDate(`time`) + INTERVAL 91 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `status` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `service` LowCardinality(String),
  `state` LowCardinality(String),
  `reason` String,
  `version` LowCardinality(String),
  `started` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `revision` UInt64 CODEC(T64, ZSTD(1)),
  `endpoints` UInt64 CODEC(T64, ZSTD(1)),
  `policies` UInt64 CODEC(T64, ZSTD(1)),
  `details` String CODEC(ZSTD(3)),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`
) ENGINE = MergeTree
PARTITION BY toDate(`time`)
ORDER BY (cluster, service, host, time)
TTL toDate(`time`) + INTERVAL 91 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `snapshots` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `snapshot_id` LowCardinality(String),
  `time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `kind` LowCardinality(String),
  `plural` LowCardinality(String),
  `api_version` LowCardinality(String),
  `namespace` LowCardinality(String),
  `name` String,
  `uid` String,
  `resource_version` String,
  `object` String CODEC(ZSTD(3)),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`
) ENGINE = MergeTree
PARTITION BY toDate(`time`)
ORDER BY (cluster, plural, namespace, name, time)
TTL toDate(`time`) + INTERVAL 91 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS `reports` (
  `cluster` LowCardinality(String),
  `host` LowCardinality(String),
  `simulated` Bool,
  `id` String,
  `name` LowCardinality(String),
  `report_type` LowCardinality(String),
  `start_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `end_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `generated_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `complete` Bool,
  `incomplete_reasons` Array(LowCardinality(String)),
  `summary` String CODEC(ZSTD(3)),
  `files` String CODEC(ZSTD(3)),
  `document` String CODEC(ZSTD(3)),
  `ingest_time` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  `log_partition` UInt16,
  `log_offset` UInt64 CODEC(Delta, ZSTD(1)),
  `log_index` UInt64 CODEC(Delta, ZSTD(1)),
  `node` LowCardinality(String) ALIAS `host`
) ENGINE = MergeTree
PARTITION BY toDate(`generated_time`)
ORDER BY (cluster, name, generated_time)
TTL toDate(`generated_time`) + INTERVAL 91 DAY DELETE
SETTINGS
  vertical_merge_algorithm_min_rows_to_activate = 4096,
  default_compression_codec = 'ZSTD(1)',
  ttl_only_drop_parts = 1,
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1;
