// Says of what class each pixel of a picture is, with a .tflite file that edgekit exported, on Android. It needs
// Network.kt.
//
//   edgekit export runs/road --device android --outputs final --out exported
//
// With --outputs decoded the file is quicker, and its mask coarser: drawn over the picture, it is enlarged.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color

class Segmenter(context: Context) : AutoCloseable {
    private val network = Network(context)

    /** Classes of pixels, row by row, over the part of the picture that the network sees (Network.seen). */
    class Mask(val width: Int, val height: Int, val classes: IntArray) {
        /** A colour for each class, half transparent, to be drawn over the picture. */
        fun coloured(): Bitmap {
            val colours = IntArray(classes.size) {
                Color.HSVToColor(128, floatArrayOf(classes[it] * 222.5f % 360f, 0.85f, 0.95f))
            }
            return Bitmap.createBitmap(colours, width, height, Bitmap.Config.ARGB_8888)
        }
    }

    /** The class of each pixel of an upright picture. */
    fun segment(picture: Bitmap): Mask {
        val classes = network.run(picture).getValue("classes")
        val (height, width) = network.shape("classes").drop(1)
        return Mask(width, height, IntArray(classes.size) { classes[it].toInt() })
    }

    /** The name of a class. */
    fun label(index: Int) = network.label(index)

    override fun close() = network.close()
}
