package conformance;

import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The producer of the Kafka introductions: bootstrap.servers, two StringSerializers, a topic, a key, a value.
 *
 * <p>Arguments: bootstrap, then keys ("user-12345" when there are none). It prints a line "key TAB partition TAB offset"
 * for each, from which the caller learns what Java's partitioner chose.
 */
public final class IntroProducer {
    public static void main(String[] arguments) throws Exception {
        String[] keys = arguments.length > 1
                ? Arrays.copyOfRange(arguments, 1, arguments.length)
                : new String[] {"user-12345"};

        Properties props = new Properties();
        props.put("bootstrap.servers", arguments[0]);
        props.put("key.serializer", StringSerializer.class.getName());
        props.put("value.serializer", StringSerializer.class.getName());

        try (Producer<String, String> producer = new KafkaProducer<>(props)) {
            for (String key : keys) {
                ProducerRecord<String, String> record =
                        new ProducerRecord<>("user-purchases", key, "{\"item\":\"book\",\"price\":12.99}");
                producer.send(record, (metadata, exception) -> {
                    if (exception != null) {
                        exception.printStackTrace();
                        System.exit(1);
                    }
                    System.out.println(key + "\t" + metadata.partition() + "\t" + metadata.offset());
                });
            }
            producer.flush();
        }
    }
}
