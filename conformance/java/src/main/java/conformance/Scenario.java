package conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** The scenario file: the records that every client produces and must read back. */
final class Scenario {
    /** One way of producing. */
    record Round(String name, String acks, boolean idempotent) {}

    /** A record as the scenario wants it; `offset` is set when it has been produced. */
    static final class Expected {
        final int partition;
        final long timestamp;
        final byte[] key;
        final byte[] value;
        final List<Header> headers;
        final boolean feature;
        long offset = -1;

        Expected(int partition, long timestamp, byte[] key, byte[] value, List<Header> headers, boolean feature) {
            this.partition = partition;
            this.timestamp = timestamp;
            this.key = key;
            this.value = value;
            this.headers = headers;
            this.feature = feature;
        }
    }

    final int partitions;
    final int tooLargeBytes;
    final long roundStepMs;
    final List<String> codecs = new ArrayList<>();
    final List<String> deleteCodecs = new ArrayList<>();
    final List<Round> rounds = new ArrayList<>();
    final Map<String, String> topicConfigs = new LinkedHashMap<>();
    private final List<Expected> plain = new ArrayList<>();

    Scenario(Path path) throws IOException {
        JsonObject raw = JsonParser.parseString(Files.readString(path, StandardCharsets.UTF_8)).getAsJsonObject();
        partitions = raw.get("partitions").getAsInt();
        tooLargeBytes = raw.get("too_large_bytes").getAsInt();
        roundStepMs = raw.get("round_step_ms").getAsLong();
        raw.getAsJsonArray("codecs").forEach(codec -> codecs.add(codec.getAsString()));
        raw.getAsJsonArray("delete_codecs").forEach(codec -> deleteCodecs.add(codec.getAsString()));
        for (JsonElement element : raw.getAsJsonArray("rounds")) {
            JsonObject round = element.getAsJsonObject();
            rounds.add(new Round(round.get("name").getAsString(), round.get("acks").getAsString(),
                    round.get("idempotent").getAsBoolean()));
        }
        raw.getAsJsonObject("topic_configs").entrySet()
                .forEach(entry -> topicConfigs.put(entry.getKey(), entry.getValue().getAsString()));
        for (JsonElement element : raw.getAsJsonArray("records")) {
            plain.add(expected(element.getAsJsonObject()));
        }
    }

    private static Expected expected(JsonObject record) {
        List<Header> headers = new ArrayList<>();
        for (JsonElement element : record.getAsJsonArray("headers")) {
            JsonArray pair = element.getAsJsonArray();
            headers.add(new RecordHeader(pair.get(0).getAsString(), bytes(pair.get(1))));
        }
        return new Expected(record.get("partition").getAsInt(), record.get("timestamp").getAsLong(),
                bytes(record.get("key")), bytes(record.get("value")), headers, record.get("feature").getAsBoolean());
    }

    private static byte[] bytes(JsonElement hex) {
        return hex.isJsonNull() ? null : HexFormat.of().parseHex(hex.getAsString());
    }

    /** The records of a round, fresh, with the round's timestamps. */
    List<Expected> records(int round) {
        List<Expected> shifted = new ArrayList<>(plain.size());
        for (Expected record : plain) {
            shifted.add(new Expected(record.partition, record.timestamp + round * roundStepMs, record.key, record.value,
                    record.headers, record.feature));
        }
        return shifted;
    }
}
