package conformance;

import java.io.InputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The shared scenario with Java's own client; the steps are those of README.md, in their order. */
public final class Conformance {
    private static final Duration POLL = Duration.ofMillis(500);
    private static final long READ_MS = 30_000;
    private static final int LIVE_RECORDS = 3;

    private final String bootstrap;
    private final String prefix;
    private final Path storedCodec;
    private final Scenario scenario;
    private final Checks checks = new Checks();
    private final Admin admin;
    private final KafkaConsumer<byte[], byte[]> consumer;

    private Conformance(Map<String, String> options) throws Exception {
        bootstrap = options.get("--bootstrap");
        prefix = options.get("--prefix");
        storedCodec = Path.of(options.get("--stored-codec"));
        scenario = new Scenario(Path.of(options.get("--scenario")));
        admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap));
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("auto.offset.reset", "none");
        properties.put("allow.auto.create.topics", "false");
        properties.put("fetch.max.wait.ms", "50");
        consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            options.put(arguments[at], arguments[at + 1]);
        }
        Conformance run = new Conformance(options);
        try (run.admin; run.consumer) {
            run.everything();
        } catch (Checks.Mismatch mismatch) {
            System.err.println("FAILED " + mismatch.getMessage());
            System.exit(1);
        }
        System.out.println("conformance: " + run.checks.compared + " records compared, " + run.checks.checks
                + " checks, codecs " + String.join(",", run.scenario.codecs));
    }

    private static String clientVersion() throws Exception {
        Properties version = new Properties();
        try (InputStream file = KafkaProducer.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            version.load(file);
        }
        return version.getProperty("version");
    }

    private static void say(String text) {
        System.out.println("ok " + text);
    }

    private void everything() throws Exception {
        say("kafka-clients " + clientVersion());
        List<List<Scenario.Expected>> firstLog = null;
        for (String codec : scenario.codecs) {
            String topic = prefix + "-" + codec;
            create(topic);
            List<List<Scenario.Expected>> log = produceRounds(topic, codec);
            readBack(topic, log);
            readTail(topic, codec, log);
            int records = log.stream().mapToInt(List::size).sum();
            storedCodec(topic, codec, records);
            say(codec + ": " + records + " records");
            firstLog = firstLog == null ? log : firstLog;
        }
        String first = prefix + "-" + scenario.codecs.get(0);
        errors(first, firstLog);
        offsetSpecs(first, firstLog);
        administer(first, firstLog);
    }

    // Admin.

    private int partitionsOf(String topic) throws Exception {
        TopicDescription described = admin.describeTopics(Set.of(topic)).allTopicNames().get().get(topic);
        return described.partitions().size();
    }

    private Map<String, String> configOf(String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Map<String, String> values = new HashMap<>();
        admin.describeConfigs(Set.of(resource)).all().get().get(resource).entries()
                .forEach(entry -> values.put(entry.name(), entry.value()));
        return values;
    }

    private void create(String topic) throws Exception {
        NewTopic wanted = new NewTopic(topic, scenario.partitions, (short) 1).configs(scenario.topicConfigs);
        admin.createTopics(Set.of(wanted)).all().get();
        checks.settles("partitions of " + topic, () -> partitionsOf(topic), scenario.partitions);
        leadersAnswer(topic, 0, scenario.partitions);
    }

    /** Metadata may name a leader that does not know it yet; a retry would reorder records, acks=0 lose them. */
    private void leadersAnswer(String topic, int from, int to) throws Exception {
        for (int partition = from; partition < to; partition++) {
            checks.settles("end offset of new " + topic + "-" + partition, ending(topic, partition), 0L);
        }
    }

    private Callable<Long> ending(String topic, int partition) {
        return () -> listed(topic, partition, OffsetSpec.latest());
    }

    private long listed(String topic, int partition, OffsetSpec spec) throws Exception {
        TopicPartition place = new TopicPartition(topic, partition);
        return admin.listOffsets(Map.of(place, spec)).partitionResult(place).get().offset();
    }

    // Produce.

    private List<List<Scenario.Expected>> produceRounds(String topic, String codec) throws Exception {
        List<List<Scenario.Expected>> log = new ArrayList<>();
        for (int partition = 0; partition < scenario.partitions; partition++) {
            log.add(new ArrayList<>());
        }
        for (int number = 0; number < scenario.rounds.size(); number++) {
            Scenario.Round round = scenario.rounds.get(number);
            List<Scenario.Expected> records = scenario.records(number);
            for (Scenario.Expected record : records) {
                record.offset = log.get(record.partition).size();
                log.get(record.partition).add(record);
            }
            produce(topic, codec, round, records);
            for (int partition = 0; partition < scenario.partitions; partition++) {
                checks.settles(topic + "-" + partition + ", " + round.name() + ": end offset", ending(topic, partition),
                        (long) log.get(partition).size());
            }
        }
        return log;
    }

    /** Produces and, unless acks=0, checks what was acknowledged. */
    private void produce(String topic, String codec, Scenario.Round round, List<Scenario.Expected> records)
            throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("acks", round.acks());
        properties.put("enable.idempotence", String.valueOf(round.idempotent()));
        properties.put("compression.type", codec);
        properties.put("linger.ms", "20");
        properties.put("batch.size", "32768");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (Scenario.Expected record : records) {
                sent.add(producer.send(new ProducerRecord<>(topic, record.partition, record.timestamp, record.key,
                        record.value, record.headers)));
            }
            producer.flush();
        }
        for (int at = 0; at < sent.size(); at++) {
            RecordMetadata metadata = sent.get(at).get();
            if (!round.acks().equals("0")) {
                Scenario.Expected record = records.get(at);
                checks.equal(topic + ", " + round.name() + ": acknowledged partition", metadata.partition(),
                        record.partition);
                checks.equal(topic + ", " + round.name() + ": acknowledged offset", metadata.offset(), record.offset);
                checks.equal(topic + ", " + round.name() + ": acknowledged timestamp", metadata.timestamp(),
                        record.timestamp);
            }
        }
    }

    // Read.

    private List<ConsumerRecord<byte[], byte[]>> poll(TopicPartition place, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.currentTimeMillis() + READ_MS;
        while (records.size() < count && System.currentTimeMillis() < deadline) {
            records.addAll(consumer.poll(POLL).records(place));
        }
        return records.subList(0, Math.min(count, records.size()));
    }

    private List<ConsumerRecord<byte[], byte[]>> read(String topic, int partition, long offset, int count) {
        TopicPartition place = new TopicPartition(topic, partition);
        consumer.assign(Set.of(place));
        if (offset < 0) {
            consumer.seekToBeginning(Set.of(place));
        } else {
            consumer.seek(place, offset);
        }
        return poll(place, count);
    }

    private void readBack(String topic, List<List<Scenario.Expected>> log) {
        for (int partition = 0; partition < log.size(); partition++) {
            List<Scenario.Expected> wanted = log.get(partition);
            String where = topic + "-" + partition;
            checks.compare(where + " from the beginning", read(topic, partition, -1, wanted.size()), wanted);
            for (int start : new int[] {1, wanted.size() / 2, wanted.size() - 1}) {
                List<Scenario.Expected> rest = wanted.subList(start, Math.min(start + 50, wanted.size()));
                checks.compare(where + " from offset " + start, read(topic, partition, start, rest.size()), rest);
            }
            byTime(topic, partition, wanted);
        }
    }

    /** The first offset whose timestamp is not below the target, exactly, also inside a batch. */
    private void byTime(String topic, int partition, List<Scenario.Expected> wanted) {
        TopicPartition place = new TopicPartition(topic, partition);
        long highest = wanted.stream().mapToLong(record -> record.timestamp).max().orElseThrow();
        int middle = wanted.size() / 2;
        long[] targets = {
            wanted.get(0).timestamp - 5000, wanted.get(0).timestamp, wanted.get(7).timestamp,
            wanted.get(12).timestamp - 1, wanted.get(middle).timestamp, wanted.get(middle + 3).timestamp + 1, highest,
            highest + 1
        };
        for (long target : targets) {
            String what = place + ": first offset from time " + target;
            Scenario.Expected first =
                    wanted.stream().filter(record -> record.timestamp >= target).findFirst().orElse(null);
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(place, target)).get(place);
            if (first == null) {
                checks.equal(what, found, null);
                continue;
            }
            checks.equal(what + " is there", found != null, true);
            checks.equal(what, found.offset(), first.offset);
            checks.equal(what + ", its timestamp", found.timestamp(), first.timestamp);
            int from = (int) first.offset;
            List<Scenario.Expected> rest = wanted.subList(from, Math.min(from + 5, wanted.size()));
            checks.compare(place + " from time " + target, read(topic, partition, found.offset(), rest.size()), rest);
        }
    }

    private void readTail(String topic, String codec, List<List<Scenario.Expected>> log) throws Exception {
        Scenario.Round live = new Scenario.Round("tail", "all", false);
        for (int number = 0; number < scenario.partitions; number++) {
            int partition = number;
            List<Scenario.Expected> fresh = scenario.records(scenario.rounds.size()).stream()
                    .filter(record -> record.feature && record.partition == partition).limit(LIVE_RECORDS).toList();
            for (Scenario.Expected record : fresh) {
                record.offset = log.get(partition).size();
                log.get(partition).add(record);
            }
            TopicPartition place = new TopicPartition(topic, partition);
            consumer.assign(Set.of(place));
            consumer.seekToEnd(Set.of(place));
            consumer.position(place);
            checks.equal(place + ": records before any is produced", consumer.poll(Duration.ofMillis(200)).count(), 0);
            produce(topic, codec, live, fresh);
            checks.compare(place + " from the end", poll(place, fresh.size()), fresh);
        }
    }

    private void storedCodec(String topic, String codec, int records) throws Exception {
        Process process = new ProcessBuilder(storedCodec.toString(), "--bootstrap", bootstrap, "--topic", topic,
                "--expect", codec, "--records", String.valueOf(records)).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) {
            throw new Checks.Mismatch(output);
        }
        checks.checks++;
    }

    // Errors and administration.

    private void errors(String topic, List<List<Scenario.Expected>> log) throws Exception {
        String unknown = prefix + "-unknown";
        checks.refused("a topic that is not there", UnknownTopicOrPartitionException.class,
                () -> partitionsOf(unknown));
        checks.equal("partitions of the unknown topic", consumer.partitionsFor(unknown, Duration.ofSeconds(10)),
                List.of());
        checks.equal("the unknown topic was created", admin.listTopics().names().get().contains(unknown), false);
        int end = log.get(0).size();
        checks.refused("an offset beyond the end", OffsetOutOfRangeException.class,
                () -> read(topic, 0, end + 1000L, 1));
        Scenario.Expected large = new Scenario.Expected(0, 1, null, new byte[scenario.tooLargeBytes], List.of(), false);
        checks.refused("a record above max.message.bytes", RecordTooLargeException.class, () -> {
            produce(topic, "none", new Scenario.Round("large", "all", false), List.of(large));
            return null;
        });
        checks.equal("end offset after a refused record", listed(topic, 0, OffsetSpec.latest()), (long) end);
        say("errors: unknown topic, offset out of range, record too large");
    }

    /** What only Java's admin client asks for: the special offsets of ListOffsets. */
    private void offsetSpecs(String topic, List<List<Scenario.Expected>> log) throws Exception {
        List<Scenario.Expected> wanted = log.get(0);
        Scenario.Expected newest =
                wanted.stream().max(Comparator.comparingLong(record -> record.timestamp)).orElseThrow();
        checks.equal("earliest", listed(topic, 0, OffsetSpec.earliest()), 0L);
        checks.equal("latest", listed(topic, 0, OffsetSpec.latest()), (long) wanted.size());
        checks.equal("max timestamp", listed(topic, 0, OffsetSpec.maxTimestamp()), newest.offset);
        checks.equal("earliest local", listed(topic, 0, OffsetSpec.earliestLocal()), 0L);
        checks.equal("latest tiered", listed(topic, 0, OffsetSpec.latestTiered()), -1L);
        say("special offsets: earliest, latest, max timestamp, earliest local, latest tiered");
    }

    private void administer(String topic, List<List<Scenario.Expected>> log) throws Exception {
        Collection<String> listed = admin.listTopics().names().get();
        for (String codec : scenario.codecs) {
            checks.equal(prefix + "-" + codec + " is listed", listed.contains(prefix + "-" + codec), true);
        }
        checks.equal("nodes", admin.describeCluster().nodes().get().size() > 0, true);
        checks.equal("a cluster id", admin.describeCluster().clusterId().get() != null, true);
        configs(topic);
        grow(topic);
        deleteRecords(topic, log.get(0).size());
        logDirectories(topic);
        deleteTopics();
        say("admin: cluster, configs, alter config, create partitions, delete records, log directories, delete topics");
    }

    private void configs(String topic) throws Exception {
        Map<String, String> wanted = new HashMap<>(scenario.topicConfigs);
        wanted.put("cleanup.policy", "delete");
        for (Map.Entry<String, String> entry : wanted.entrySet()) {
            checks.equal("config " + entry.getKey(), configOf(topic).get(entry.getKey()), entry.getValue());
        }
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry retention = new ConfigEntry("retention.ms", "777000000");
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(retention, AlterConfigOp.OpType.SET))))
                .all().get();
        checks.settles("retention.ms after altering it", () -> configOf(topic).get("retention.ms"), "777000000");
    }

    private void grow(String topic) throws Exception {
        int total = scenario.partitions + 2;
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(total))).all().get();
        checks.settles("partitions of " + topic, () -> partitionsOf(topic), total);
        leadersAnswer(topic, scenario.partitions, total);
        Scenario.Expected plain = scenario.records(0).get(0);
        Scenario.Expected moved = new Scenario.Expected(total - 1, plain.timestamp, plain.key, plain.value,
                plain.headers, plain.feature);
        moved.offset = 0;
        produce(topic, "none", new Scenario.Round("grown", "all", false), List.of(moved));
        checks.compare(topic + "-" + (total - 1), read(topic, total - 1, -1, 1), List.of(moved));
    }

    private void deleteRecords(String topic, int end) throws Exception {
        TopicPartition place = new TopicPartition(topic, 0);
        long before = end / 2;
        long low = admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(before))).lowWatermarks().get(place)
                .get().lowWatermark();
        checks.equal("low watermark after deleting records", low, before);
        checks.equal("log start after deleting records", listed(topic, 0, OffsetSpec.earliest()), before);
        checks.equal("first record after deleting records", read(topic, 0, -1, 1).get(0).offset(), before);
        checks.refused("a deleted offset", OffsetOutOfRangeException.class, () -> read(topic, 0, before - 1, 1));
    }

    private void logDirectories(String topic) throws Exception {
        int broker = admin.describeCluster().nodes().get().iterator().next().id();
        long bytes = admin.describeLogDirs(Set.of(broker)).allDescriptions().get().get(broker).values().stream()
                .mapToLong(directory -> directory.replicaInfos().entrySet().stream()
                        .filter(entry -> entry.getKey().topic().equals(topic))
                        .mapToLong(entry -> entry.getValue().size()).sum())
                .sum();
        checks.equal("bytes of " + topic + " in the log directories are above 0", bytes > 0, true);
    }

    private void deleteTopics() throws Exception {
        for (String codec : scenario.deleteCodecs) {
            String topic = prefix + "-" + codec;
            admin.deleteTopics(Set.of(topic)).all().get();
            checks.settles(topic + " is listed", () -> admin.listTopics().names().get().contains(topic), false);
        }
    }
}
