package conformance;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a consumer group: its configuration is the only argument, in JSON; it prints a JSON object a line, takes
 * commands on standard input, and leaves its group when that ends. groups/members.py has the words.
 */
public final class GroupMember implements ConsumerRebalanceListener {
    private static final Duration POLL = Duration.ofMillis(100);
    private static final Duration COMMIT = Duration.ofSeconds(30);
    private static final Map<String, String> ASSIGNORS = Map.of(
            "range", "org.apache.kafka.clients.consumer.RangeAssignor",
            "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final Gson gson = new Gson();
    private final JsonObject configuration;
    private final String topic;
    private final ConcurrentLinkedQueue<JsonObject> commands = new ConcurrentLinkedQueue<>();
    private volatile boolean closing;

    private GroupMember(String text) {
        configuration = JsonParser.parseString(text).getAsJsonObject();
        topic = text("topic");
        Thread listening = new Thread(this::listen);
        listening.setDaemon(true);
        listening.start();
    }

    public static void main(String[] arguments) throws Exception {
        new GroupMember(arguments[0]).run();
    }

    private String text(String name) {
        return configuration.has(name) && !configuration.get(name).isJsonNull() ? configuration.get(name).getAsString() : null;
    }

    private long number(String name, long otherwise) {
        return text(name) == null ? otherwise : Long.parseLong(text(name));
    }

    private void listen() {
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                commands.add(JsonParser.parseString(line).getAsJsonObject());
            }
        } catch (java.io.IOException ended) {
            // As if it had been closed.
        }
        closing = true;
    }

    private synchronized void say(String event, String field, Object value) {
        Map<String, Object> line = new HashMap<>(Map.of("at", System.currentTimeMillis(), "event", event, field, value));
        System.out.println(gson.toJson(line));
        System.out.flush();
    }

    private static List<Integer> numbers(Collection<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::partition).collect(Collectors.toList());
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        say("assigned", "partitions", numbers(partitions));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        say("revoked", "partitions", numbers(partitions));
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        say("lost", "partitions", numbers(partitions));
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", text("bootstrap"));
        settings.put("group.id", text("group"));
        settings.put("client.id", text("name"));
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("max.poll.records", Long.toString(number("batch", 500)));
        settings.put("reconnect.backoff.max.ms", "500");
        String assignor = text("assignor");
        if ("consumer".equals(text("protocol"))) {
            settings.put("group.protocol", "consumer");
            if (assignor != null) {
                settings.put("group.remote.assignor", assignor);
            }
        } else {
            if (assignor != null) {
                settings.put("partition.assignment.strategy", ASSIGNORS.get(assignor));
            }
            if (text("session_ms") != null) {
                settings.put("session.timeout.ms", text("session_ms"));
            }
        }
        if (text("instance") != null) {
            settings.put("group.instance.id", text("instance"));
        }
        return settings;
    }

    private void obey(KafkaConsumer<String, String> consumer, JsonObject command) {
        List<TopicPartition> partitions = new ArrayList<>();
        command.getAsJsonArray("partitions").forEach(one -> partitions.add(new TopicPartition(topic, one.getAsInt())));
        String what = command.get("do").getAsString();
        switch (what) {
            case "pause" -> consumer.pause(partitions);
            case "resume" -> consumer.resume(partitions);
            case "seek" -> partitions.forEach(one -> consumer.seek(one, command.get("offset").getAsLong()));
            default -> throw new IllegalArgumentException(what);
        }
        say("obeyed", "do", what);
    }

    /** Prints records in the order in which the client gave them; the one at stop_at is the last that is processed. */
    private Map<TopicPartition, OffsetAndMetadata> read(ConsumerRecords<String, String> polled) {
        long stopAt = number("stop_at", Long.MAX_VALUE);
        Map<TopicPartition, OffsetAndMetadata> commit = new HashMap<>();
        for (TopicPartition partition : polled.partitions()) {
            List<Long> offsets = new ArrayList<>();
            List<String> values = new ArrayList<>();
            for (ConsumerRecord<String, String> record : polled.records(partition)) {
                if (record.offset() > stopAt) {
                    break;
                }
                offsets.add(record.offset());
                values.add(record.value());
                commit.put(partition, new OffsetAndMetadata(record.offset() + 1));
                closing |= record.offset() == stopAt;
            }
            if (!offsets.isEmpty()) {
                Map<String, Object> line = new HashMap<>(Map.of("at", System.currentTimeMillis(), "event", "records",
                        "partition", partition.partition(), "offsets", offsets, "values", values));
                System.out.println(gson.toJson(line));
            }
        }
        System.out.flush();
        return commit;
    }

    private void commit(KafkaConsumer<String, String> consumer, Map<TopicPartition, OffsetAndMetadata> offsets) {
        try {
            consumer.commitSync(offsets, COMMIT);
        } catch (KafkaException failed) {
            say("commit-failed", "why", failed.toString());
            return;
        }
        Map<Integer, Long> committed = new HashMap<>();
        offsets.forEach((partition, position) -> committed.put(partition.partition(), position.offset()));
        say("committed", "offsets", committed);
    }

    private void run() throws InterruptedException {
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings())) {
            consumer.subscribe(List.of(topic), this);
            while (!closing) {
                for (JsonObject command = commands.poll(); command != null; command = commands.poll()) {
                    obey(consumer, command);
                }
                Map<TopicPartition, OffsetAndMetadata> offsets = read(consumer.poll(POLL));
                if (!offsets.isEmpty()) {
                    commit(consumer, offsets);
                    Thread.sleep(number("pause_ms", 0));
                }
            }
        }
        say("closed", "why", "standard input ended");
    }
}
