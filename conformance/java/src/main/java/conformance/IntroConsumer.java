package conformance;

import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The consumer of the Kafka introductions: subscribe, poll, print, for ever. Arguments: bootstrap and, which the
 * introductions leave to a file of properties, any "name=value".
 */
public final class IntroConsumer {
    public static void main(String[] arguments) {
        Properties props = new Properties();
        props.put("bootstrap.servers", arguments[0]);
        props.put("group.id", "kafka-java-getting-started");
        props.put("auto.offset.reset", "earliest");
        props.put("key.deserializer", StringDeserializer.class.getName());
        props.put("value.deserializer", StringDeserializer.class.getName());
        for (String more : Arrays.copyOfRange(arguments, 1, arguments.length)) {
            props.put(more.split("=", 2)[0], more.split("=", 2)[1]);
        }

        try (Consumer<String, String> consumer = new KafkaConsumer<>(props)) {
            consumer.subscribe(Arrays.asList("user-purchases"));
            while (true) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                for (ConsumerRecord<String, String> record : records) {
                    System.out.println(String.format("partition = %d, offset = %d, key = %s, value = %s",
                            record.partition(), record.offset(), record.key(), record.value()));
                }
            }
        }
    }
}
