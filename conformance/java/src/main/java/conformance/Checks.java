package conformance;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;

/** Counts what was compared; the first mismatch ends the run. */
final class Checks {
    private static final long SETTLE_MS = 30_000;

    static final class Mismatch extends RuntimeException {
        Mismatch(String text) {
            super(text);
        }
    }

    long checks;
    long compared;

    void equal(String what, Object got, Object wanted) {
        checks++;
        if (!Objects.deepEquals(got, wanted)) {
            throw new Mismatch(what + ": got " + shown(got) + ", wanted " + shown(wanted));
        }
    }

    private static String shown(Object value) {
        String text = value instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(value);
        return text.length() > 600 ? text.substring(0, 600) : text;
    }

    void compare(String what, List<ConsumerRecord<byte[], byte[]>> got, List<Scenario.Expected> wanted) {
        equal(what + ": number of records", got.size(), wanted.size());
        for (int at = 0; at < wanted.size(); at++) {
            ConsumerRecord<byte[], byte[]> one = got.get(at);
            Scenario.Expected other = wanted.get(at);
            String where = what + ": offset " + other.offset + ", ";
            equal(where + "partition", one.partition(), other.partition);
            equal(where + "offset", one.offset(), other.offset);
            equal(where + "timestamp", one.timestamp(), other.timestamp);
            equal(where + "key", one.key(), other.key);
            equal(where + "value", one.value(), other.value);
            equal(where + "headers", one.headers().toArray(), other.headers.toArray(new Header[0]));
            compared++;
        }
    }

    /** `call` must fail with `wanted`, wrapped or not. */
    void refused(String what, Class<? extends Exception> wanted, Callable<?> call) throws Exception {
        checks++;
        Object result;
        try {
            result = call.call();
        } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            if (!wanted.isInstance(cause)) {
                throw new Mismatch(what + ": refused with " + cause + ", wanted " + wanted.getSimpleName());
            }
            return;
        }
        throw new Mismatch(what + ": not refused, returned " + shown(result));
    }

    /** Probes until the value is there; an exception of the probe counts as another value. */
    void settles(String what, Callable<?> probe, Object wanted) throws Exception {
        long deadline = System.currentTimeMillis() + SETTLE_MS;
        Object got;
        do {
            try {
                got = probe.call();
            } catch (ExecutionException error) {
                got = error.getCause();
            }
            if (Objects.deepEquals(got, wanted)) {
                break;
            }
            Thread.sleep(50);
        } while (System.currentTimeMillis() < deadline);
        equal(what, got, wanted);
    }
}
