//! `messages!`: one description of a message gives its struct, its defaults and both directions for every
//! version. It reads like Kafka's schemas:
//!
//! ```text
//! messages! {
//!     /// What it is for.
//!     FetchTopic {
//!         topic: Str, 0..=12;                                  // versions that have the field
//!         rack: Option<Str>, 1.., null 1..;                    // versions in which it may be null
//!         cluster_id: Option<Str>, 12.., null 12.., tag 0;     // a tagged field
//!         session_epoch: i32, 7.., default -1;                 // a default that is not zero or empty
//!     }
//! }
//! ```
//!
//! The attributes come in that order: versions, `null`, `tag`, `default`. The version from which a message
//! is flexible stands in the API's row of `api_key.rs` and arrives with the [`Context`](super::Context).
//! Tagged fields stand in the order of their tags; one that has its default is not sent, but for `tag 0 always`.

macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        $name:ident { $(
            $(#[$field_meta:meta])*
            $field:ident : $type:ty, $versions:expr
                $(, null $null:expr)? $(, tag $tag:literal $($always:ident)?)? $(, default $default:expr)?;
        )* }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $type, )* }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::wire::messages!(@default $($default)?), )* }
            }
        }

        impl $crate::wire::Wire for $name {
            fn min_size(context: $crate::wire::Context) -> usize {
                let mut size = usize::from(context.flexible);
                $(
                    if $crate::wire::messages!(@untagged $($tag)?)
                        && ($versions).contains(&context.version)
                    {
                        size += <$type as $crate::wire::Wire>::min_size(context);
                    }
                )*
                size
            }

            fn decode(
                reader: &mut $crate::wire::Reader<'_>,
                context: $crate::wire::Context,
            ) -> Result<Self, $crate::wire::DecodeError> {
                $(
                    let mut $field: $type = if $crate::wire::messages!(@untagged $($tag)?)
                        && ($versions).contains(&context.version)
                    {
                        let context =
                            context.nullable($crate::wire::messages!(@null context $($null)?));
                        <$type as $crate::wire::Wire>::decode(reader, context)?
                    } else {
                        $crate::wire::messages!(@default $($default)?)
                    };
                )*
                if context.flexible {
                    reader.tagged_fields(|reader, tag| {
                        $(
                            if $crate::wire::messages!(@tag $($tag)?) == Some(tag)
                                && ($versions).contains(&context.version)
                            {
                                let context = context
                                    .nullable($crate::wire::messages!(@null context $($null)?))
                                    .tagged();
                                $field = <$type as $crate::wire::Wire>::decode(reader, context)?;
                                return Ok(true);
                            }
                        )*
                        Ok(false)
                    })?;
                }
                Ok(Self { $($field),* })
            }

            fn encode(
                &self,
                writer: &mut $crate::wire::Writer,
                context: $crate::wire::Context,
            ) {
                $(
                    if $crate::wire::messages!(@untagged $($tag)?)
                        && ($versions).contains(&context.version)
                    {
                        let context =
                            context.nullable($crate::wire::messages!(@null context $($null)?));
                        $crate::wire::Wire::encode(&self.$field, writer, context);
                    }
                )*
                if context.flexible {
                    $(
                        let $field = !$crate::wire::messages!(@untagged $($tag)?)
                            && ($versions).contains(&context.version)
                            && ($crate::wire::messages!(@always $($($always)?)?)
                                || <$type as PartialEq>::ne(
                                    &self.$field,
                                    &$crate::wire::messages!(@default $($default)?),
                                ));
                    )*
                    writer.unsigned_varint(0 $(+ u32::from($field))*);
                    $(
                        if let Some(tag) = $crate::wire::messages!(@tag $($tag)?)
                            && $field
                        {
                            let context = context
                                .nullable($crate::wire::messages!(@null context $($null)?))
                                .tagged();
                            writer.tagged_field(tag, |writer| {
                                $crate::wire::Wire::encode(&self.$field, writer, context);
                            });
                        }
                    )*
                }
            }
        }

        /// A nullable struct has a byte before it: negative is null, or 0 where it is a tagged field.
        impl $crate::wire::Nullable for $name {
            fn decode_nullable(
                reader: &mut $crate::wire::Reader<'_>,
                context: $crate::wire::Context,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                let is_null = if context.tagged {
                    reader.unsigned_varint()? == 0
                } else {
                    reader.i8()? < 0
                };
                if is_null {
                    return Ok(None);
                }
                <Self as $crate::wire::Wire>::decode(reader, context).map(Some)
            }

            fn encode_nullable(
                value: Option<&Self>,
                writer: &mut $crate::wire::Writer,
                context: $crate::wire::Context,
            ) {
                let null = if context.tagged { 0 } else { -1 };
                writer.i8(if value.is_some() { 1 } else { null });
                if let Some(value) = value {
                    $crate::wire::Wire::encode(value, writer, context);
                }
            }
        }

        #[cfg(test)]
        impl $crate::wire::generate::Generate for $name {
            fn generate(source: &mut $crate::wire::generate::Source) -> Self {
                Self { $( $field: $crate::wire::generate::Generate::generate(source), )* }
            }
        }
    )* };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@untagged) => { true };
    (@untagged $tag:literal) => { false };
    (@always) => { false };
    (@always always) => { true };
    (@tag) => { None::<u32> };
    (@tag $tag:literal) => { Some::<u32>($tag) };
    (@null $context:ident) => { false };
    (@null $context:ident $null:expr) => { ($null).contains(&$context.version) };
}

pub(crate) use messages;
